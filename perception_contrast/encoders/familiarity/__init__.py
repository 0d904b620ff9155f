"""How unlike the images that a model was trained on a stream of images is."""
