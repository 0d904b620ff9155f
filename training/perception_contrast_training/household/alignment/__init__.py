"""household-lit's alignment head: words for DINOv2 features, learned on rendered rooms."""
