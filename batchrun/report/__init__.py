"""A statement as people and programs read it."""
