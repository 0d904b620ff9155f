"""The parts of map_node: its inputs, poses, messages and services."""
