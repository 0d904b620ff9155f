"""Features x words to scores, masks and detections."""
