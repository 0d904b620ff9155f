"""Bytes to pixels: decoding, compressed formats, file headers, resizing, image files."""
