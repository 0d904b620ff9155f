"""`perception-contrast find`: images, videos and recordings searched without ROS."""
