"""Sentences that the hub says and its own client knows by heart."""

ALREADY_HELD = "Already held with the same content; nothing to do"
"""The message of a success in a TAXII status whose object version was there before."""
