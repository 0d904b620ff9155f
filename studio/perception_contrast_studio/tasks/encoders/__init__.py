"""Encoders: which there are, loading them, and what two of them make of the same images."""
