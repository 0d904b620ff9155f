"""Recordings and other sources, published as a camera would."""
