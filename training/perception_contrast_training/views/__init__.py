"""What a learning method sees of one picture: crops, colours, masks, as its authors published them."""

from .batch import VIEWED, collated

__all__ = ["VIEWED", "collated"]
