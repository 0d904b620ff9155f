"""A client of perception_node for Python programs: ask for things, wait for them, take features as arrays."""

from .answers import Answer
from .errors import (
    ClientError,
    ClosedError,
    NoAnswerError,
    NodeAbsentError,
    NodeNotActiveError,
    RefusedError,
)
from .perception_client import PerceptionClient
from .streams import Stream
from .types import Detections, Features, Heatmap, Masks, Sighting, Thing, Vectors

__all__ = [
    "Answer",
    "ClientError",
    "ClosedError",
    "Detections",
    "Features",
    "Heatmap",
    "Masks",
    "NoAnswerError",
    "NodeAbsentError",
    "NodeNotActiveError",
    "PerceptionClient",
    "RefusedError",
    "Sighting",
    "Stream",
    "Thing",
    "Vectors",
]
