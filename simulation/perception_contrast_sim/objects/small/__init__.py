"""Small objects: tableware, food, tools, toys, bags."""
