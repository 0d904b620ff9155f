"""What a learning method sees of one image: crops, colours, masks, as its authors published them."""

from perception_contrast_training.views.batch import VIEWED, collated

__all__ = ["VIEWED", "collated"]
