"""Parts of perception_node: lifecycle, models in use, frame processing, publishers, services."""
