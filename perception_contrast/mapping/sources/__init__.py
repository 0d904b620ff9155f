"""Posed frames for the map without ROS: recordings with depth and poses."""
