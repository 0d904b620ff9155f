"""Training methods: what one step computes."""
