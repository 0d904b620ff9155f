"""Heads on frozen features, learned from labelled frames: readers, targets, fits, calibration, the table."""
