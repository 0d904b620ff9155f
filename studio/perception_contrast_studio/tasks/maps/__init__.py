"""Questions to saved maps."""
