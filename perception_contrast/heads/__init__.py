"""Heads on the features of images, learned from labelled frames: their files, and what they report."""
