"""The training loop: steps, checkpoints, journals, distributed processes."""
