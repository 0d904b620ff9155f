"""From a run to a folder that nodes serve."""
