"""Posts as tables and as rows that a model reads."""
