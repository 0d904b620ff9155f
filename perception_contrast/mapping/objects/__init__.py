"""Objects: association of detections, merging, boxes, and the removal of what is gone."""
