"""Posts as tables, and as the token rows that a model reads."""
