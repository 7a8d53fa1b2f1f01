"""Whose posts may not be used: opted-out accounts and deleted posts."""
