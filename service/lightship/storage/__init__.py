"""Drivers behind the ports of `core.ports`: memory and SQLite, each native."""
