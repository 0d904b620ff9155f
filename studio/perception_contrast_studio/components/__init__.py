"""Parts of pages, with their JavaScript."""
