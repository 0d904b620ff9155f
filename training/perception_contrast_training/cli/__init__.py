"""The commands `train`, `data` and `eval`."""
