"""Where frames come from without ROS: rosbag2 recordings, videos, image folders, webcams."""
