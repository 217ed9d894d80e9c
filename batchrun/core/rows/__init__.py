"""From an input line to a request, and from an answer back to its row."""
