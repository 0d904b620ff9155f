"""Posed frames and detections to a 3D map of surfaces, features and objects; knows no ROS and no model."""
