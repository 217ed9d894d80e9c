"""A run joined from its parts: `one_run.py` is the page to begin with."""
