"""What a robot publishes, shared by all who look."""
