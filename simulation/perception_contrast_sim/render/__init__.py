"""MuJoCo rendering: stage, materials, meshes and textures."""
