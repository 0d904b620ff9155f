"""The public Python API: load a model, call the detector on images."""
