"""Executables for `ros2 run` and launch files."""
