"""The rules behind `ports.Decisions`."""
