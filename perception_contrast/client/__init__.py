"""A client of perception_node for Python programs: requests, streams, results as arrays."""

import warnings
from typing import Any

from perception_contrast.client.camera_image import CameraImage
from perception_contrast.client.client_errors import (
    ClientError,
    ClosedError,
    NoAnswerError,
    NodeAbsentError,
    NodeNotActiveError,
    RefusedError,
)
from perception_contrast.client.futures import ClientFuture
from perception_contrast.client.identified_results import (
    Detections3D,
    Instances,
    Region,
    RegionFeatures,
    Thing3D,
)
from perception_contrast.client.map_client import MapClient
from perception_contrast.client.map_layers import MapCloud, MapGrid, MapMesh
from perception_contrast.client.map_results import (
    ApproachPose,
    MapFinding,
    MapSighting,
    MapThing,
    Recollection,
    SavedMap,
)
from perception_contrast.client.node_diagnostics import Diagnostics
from perception_contrast.client.parameter_requests import NodeParameters
from perception_contrast.client.parameter_values import ParameterInfo, ParameterValueError
from perception_contrast.client.perception_client import PerceptionClient
from perception_contrast.client.result_types import (
    Detections,
    Features,
    Heatmap,
    ImageVector,
    Masks,
    Sighting,
    StageTimes,
    Thing,
    Vectors,
)
from perception_contrast.client.running_nodes import RunningNodes, find_nodes
from perception_contrast.client.streams import Stream

__all__ = [
    "ApproachPose",
    "CameraImage",
    "ClientError",
    "ClientFuture",
    "ClosedError",
    "Detections",
    "Detections3D",
    "Diagnostics",
    "Features",
    "Heatmap",
    "ImageVector",
    "Instances",
    "MapClient",
    "MapCloud",
    "MapFinding",
    "MapGrid",
    "MapMesh",
    "MapSighting",
    "MapThing",
    "Masks",
    "NoAnswerError",
    "NodeAbsentError",
    "NodeNotActiveError",
    "NodeParameters",
    "ParameterInfo",
    "ParameterValueError",
    "PerceptionClient",
    "Recollection",
    "RefusedError",
    "Region",
    "RegionFeatures",
    "RunningNodes",
    "SavedMap",
    "Sighting",
    "StageTimes",
    "Stream",
    "Thing",
    "Thing3D",
    "Vectors",
    "find_nodes",
]


def __getattr__(name: str) -> Any:
    if name == "Answer":
        warnings.warn(
            "perception_contrast.client.Answer is now called ClientFuture", DeprecationWarning, stacklevel=2
        )
        return ClientFuture
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
