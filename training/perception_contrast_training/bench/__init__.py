"""Measurements of training, each a command."""
