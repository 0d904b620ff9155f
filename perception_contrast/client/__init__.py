"""A client of perception_node for Python programs: requests, streams, results as arrays."""

import warnings
from typing import Any

from perception_contrast.client.client_errors import (
    ClientError,
    ClosedError,
    NoAnswerError,
    NodeAbsentError,
    NodeNotActiveError,
    RefusedError,
)
from perception_contrast.client.futures import ClientFuture
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
    "ClientError",
    "ClientFuture",
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


def __getattr__(name: str) -> Any:
    if name == "Answer":
        warnings.warn(
            "perception_contrast.client.Answer is now called ClientFuture", DeprecationWarning, stacklevel=2
        )
        return ClientFuture
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
