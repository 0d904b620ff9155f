"""Two-dimensional grids for navigation, and poses to approach an object."""
