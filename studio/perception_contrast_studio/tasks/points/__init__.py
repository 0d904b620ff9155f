"""Vectors as points: read from files, datasets and maps, encoded, and laid out in a picture."""
