"""Open-vocabulary perception for robots: DINOv2 and CLIP/SigLIP features as ROS 2 topics."""

__version__ = "0.1.0"
