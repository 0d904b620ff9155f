"""What tells whether a run learns or collapses, outside of the loop."""
