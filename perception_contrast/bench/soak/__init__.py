"""The soak test: nodes and cameras under faults without end."""
