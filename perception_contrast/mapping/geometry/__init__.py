"""Depth to points, boxes and surfaces."""
