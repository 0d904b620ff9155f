"""A client of perception_node for Python programs: ask for things, wait for them, take features as arrays."""

from perception_contrast.client.client_errors import (
    ClientError,
    ClosedError,
    NoAnswerError,
    NodeAbsentError,
    NodeNotActiveError,
    RefusedError,
)
from perception_contrast.client.futures import Answer
from perception_contrast.client.perception_client import PerceptionClient
from perception_contrast.client.result_types import (
    Detections,
    Features,
    Heatmap,
    Masks,
    Sighting,
    Thing,
    Vectors,
)
from perception_contrast.client.streams import Stream

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
