"""The node of the simulated camera."""
