"""Charts and their common style."""
