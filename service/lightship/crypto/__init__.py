"""Signatures, verification, certificates: the only importer of `cryptography`."""
