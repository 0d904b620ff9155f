"""Processes that compute for the pages, so that the server answers at once."""
