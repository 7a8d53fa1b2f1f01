"""How authors compare."""
