"""`perception-contrast map`: maps of recordings, and what is done with saved ones."""
