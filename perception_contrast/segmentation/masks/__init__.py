"""Regions to masks and the label image in pixels of the image."""
