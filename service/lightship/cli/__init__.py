"""The `lightship` command: one file a noun."""
