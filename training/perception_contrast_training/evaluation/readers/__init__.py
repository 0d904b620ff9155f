"""Data sets of files, recordings and simulation, as the tasks take them. Nothing here computes a figure."""
