"""Adapters: one source or target a file; they know formats, never storage or routes."""
