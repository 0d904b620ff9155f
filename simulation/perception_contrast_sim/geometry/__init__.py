"""Triangle meshes, and the parts that objects are built from."""
