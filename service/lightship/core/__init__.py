"""Pure values and rules of the hub: no I/O, no clock, no randomness."""
