"""Vectors and patch features of every frame of some data, made by parts and joined into one file."""
