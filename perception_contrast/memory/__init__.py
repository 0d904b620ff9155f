"""What was seen, where and when: sightings and keyframes, and their search."""
