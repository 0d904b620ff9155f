"""Regions that hold several things of one kind, split into the single ones."""
