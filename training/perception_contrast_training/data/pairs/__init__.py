"""Frames of a robot that show the same place."""
