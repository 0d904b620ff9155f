"""Voxels with language-aligned vectors, and rays beyond the range of depth."""
