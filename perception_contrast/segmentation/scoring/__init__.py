"""Feature grids and query vectors to logits of every cell."""
