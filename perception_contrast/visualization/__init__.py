"""Images for people: overlays of detections and features as colours."""
