"""Parameters of perception_node: their table, their validation, their changes."""
