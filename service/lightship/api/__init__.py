"""The declared surface beside TAXII: one file a noun, hosted by FastAPI."""
