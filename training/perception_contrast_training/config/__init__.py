"""Recipes and settings: their schema, ranges and shipped files."""
