"""What the workers compute; only they import it."""
