"""One verb a file: what the hub does, in terms of core values and ports."""
