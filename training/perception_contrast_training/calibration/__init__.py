"""Probabilities fitted to labelled images."""
