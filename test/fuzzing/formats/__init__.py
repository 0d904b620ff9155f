"""Mutations that know a file format: they keep most of its structure, lengths and checksums whole."""
