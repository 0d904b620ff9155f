"""Parts of the page of datasets."""
