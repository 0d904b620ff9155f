"""Regions that hold several instances of one label, split into the single ones."""
