"""Queries: their vectors, the vocabulary in force, and what is encoded beside the frames."""
