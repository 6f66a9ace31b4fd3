"""TAXII 2.1: HTTP to use case and back, nothing else."""
