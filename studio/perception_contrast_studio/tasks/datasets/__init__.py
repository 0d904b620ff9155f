"""Datasets: their images and tables, what was left out, and their splits."""
