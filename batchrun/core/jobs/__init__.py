"""What the user wrote, checked: a job's tables, and the words in which a mistake in them is told."""
