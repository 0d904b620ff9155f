"""The embedded simulated robot camera: a household, rendered with exact masks. No ROS in here."""
