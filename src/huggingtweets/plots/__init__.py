"""Plots and their common style."""
