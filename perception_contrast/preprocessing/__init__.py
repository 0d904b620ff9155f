"""Pixels to network input, on the CPU and on a GPU; tiles of large images."""
