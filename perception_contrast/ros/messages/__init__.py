"""ROS messages to and from core types."""
