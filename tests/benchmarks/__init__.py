"""What is measured, in virtual time."""
