"""Benchmarks: stages of a frame, the ROS node, other libraries, and the soak test."""
