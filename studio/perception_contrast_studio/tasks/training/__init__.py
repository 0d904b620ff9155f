"""Views, batches, losses, recipes and runs, by training's own code."""
