"""Times and memory of the 3D map, on posed frames that are made up."""
