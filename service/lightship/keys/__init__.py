"""Key files, the private certificate authority, minted secrets."""
