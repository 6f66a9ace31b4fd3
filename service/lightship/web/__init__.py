"""What every HTTP face shares: authentication, problem answers, negotiation, limits, access events."""
