"""A large model labels images for a small one: pseudo-labels, what agrees on them, and what to look at."""
