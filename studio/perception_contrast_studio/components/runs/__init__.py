"""Parts of the page of training runs."""
