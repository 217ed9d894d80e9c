"""What to send next, what a result leads to, and how long it will all take."""
