"""Parts of the page of maps."""
