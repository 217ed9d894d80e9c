"""How fast attempts may go: quotas that are known, quotas that are found, and how many calls at once."""
