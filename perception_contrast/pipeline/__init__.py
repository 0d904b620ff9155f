"""One frame's processing: features, search, masks, detections, tracks; only what is requested."""
