"""Lightship: a TAXII 2.1 hub over which seaports share cyber threat intelligence."""

__version__ = "0.1.0"
