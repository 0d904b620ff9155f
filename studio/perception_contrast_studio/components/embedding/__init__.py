"""Parts of the page of the embedding space."""
