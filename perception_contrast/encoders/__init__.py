"""Networks that turn images into features: DINOv2, CLIP, SigLIP, household-lit."""
