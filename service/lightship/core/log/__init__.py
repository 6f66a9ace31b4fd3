"""Verifiable logs: trees, notes and what is signed. Pure: no I/O, no clock, no cryptography but SHA-256."""
