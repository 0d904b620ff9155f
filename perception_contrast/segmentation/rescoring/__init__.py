"""Regions cropped, enlarged, encoded and scored again."""
