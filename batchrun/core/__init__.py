"""What decides: no clock, dice, disk, network, log or await; told the time and the jitter it needs."""
