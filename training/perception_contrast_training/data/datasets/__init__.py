"""Image datasets in every supported layout, and their manifest."""
