"""From a prompt to new posts."""
