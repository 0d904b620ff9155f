"""Dense language features without training: what the last block of an image tower is replaced by."""
