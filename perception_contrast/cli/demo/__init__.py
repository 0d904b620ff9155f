"""`perception-contrast demo`: a source and perception_node as processes, shown and measured."""
