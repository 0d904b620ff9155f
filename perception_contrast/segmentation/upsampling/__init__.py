"""Logit grids to logits of image pixels, along the image's edges."""
