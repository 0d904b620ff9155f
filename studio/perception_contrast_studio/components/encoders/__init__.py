"""Parts of the page that compares encoders."""
