"""Figures from truths and predictions: arrays in, numbers out. Nothing here reads a file or runs a model."""
