"""Parameters of perception_node: table, validation, changes."""
