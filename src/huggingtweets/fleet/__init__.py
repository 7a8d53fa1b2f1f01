"""Fleets: a bot for each of many authors, trained on one machine or a cluster."""
