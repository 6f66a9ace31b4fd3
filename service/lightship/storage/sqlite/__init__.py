"""The embedded store: apsw, raw SQL, WAL, synchronous=FULL."""
