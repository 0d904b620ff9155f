"""Results of the client that tie to detections by their ids: instances, vectors, 3D boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.client.result_types import Stamped, Thing, Vectors
from perception_contrast.core.arrays import BoolMask, LabelMask
from perception_contrast.core.detection import instance_value
from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.geometry.boxes import Box3D
from perception_contrast.ros.messages.image_messages import channel_array


class MessageError(PerceptionError):
    """A message whose fields contradict each other."""


@dataclass(frozen=True)
class Instances(Stamped):
    """The detection of each pixel.

    Attributes:
        ids: (H, W) uint16, a view on the message; 65535 where there is no detection.
    """

    ids: LabelMask

    def of(self, thing: Thing | Region | Thing3D) -> BoolMask:
        """Gives the mask of one detection.

        Args:
            thing: A detection of the same image.

        Returns:
            (H, W) bool, True where a pixel belongs to it.
        """
        return np.asarray(self.ids == instance_value(thing.track_id))


@dataclass(frozen=True)
class Region:
    """A detection with vectors.

    Attributes:
        label: Label of its query.
        score: Probability.
        track_id: As of ``Thing``.
    """

    label: str
    score: float
    track_id: str


@dataclass(frozen=True)
class RegionFeatures(Stamped):
    """The vectors of the detections of one image.

    Attributes:
        regions: The detections, in their order.
        semantic: One row for each region, comparable with ``embed_text``; None without a language model or
            without regions.
        spatial: One row for each region, of the image encoder; None without regions.
        tracked: Whether the ids stay with the objects from image to image.
    """

    regions: tuple[Region, ...]
    semantic: Vectors | None
    spatial: Vectors | None
    tracked: bool


@dataclass(frozen=True)
class Thing3D:
    """A detection with a 3D box.

    Attributes:
        label: Label of its query.
        score: Probability.
        box: Box in the frame of the message.
        track_id: As of ``Thing``.
    """

    label: str
    score: float
    box: Box3D
    track_id: str


@dataclass(frozen=True)
class Detections3D(Stamped):
    """The detections of one image that have a 3D box.

    Attributes:
        things: The detections, in the frame of ``frame_id``.
    """

    things: tuple[Thing3D, ...]

    def of(self, label: str, minimum: float = 0.0) -> tuple[Thing3D, ...]:
        """Selects the detections of a label.

        Args:
            label: The label.
            minimum: Lowest probability.

        Returns:
            The detections, the most probable first.
        """
        chosen = (one for one in self.things if one.label == label and one.score >= minimum)
        return tuple(sorted(chosen, key=lambda one: -one.score))

    def best(self, label: str, minimum: float = 0.0) -> Thing3D | None:
        """Selects the most probable detection of a label.

        Args:
            label: The label.
            minimum: Lowest probability.

        Returns:
            The detection; None if there is none.
        """
        return next(iter(self.of(label, minimum)), None)


def instances_from_message(message: Any) -> Instances:
    """Of a sensor_msgs/Image. Raises FrameError."""
    return Instances(message.header, channel_array(message, "mono16", "<u2"))


def region_features_from_message(message: Any) -> RegionFeatures:
    """Of a perception_contrast_msgs/RegionFeatures. Raises MessageError for vectors of several lengths."""
    regions = tuple(Region(one.label, float(one.score), one.id) for one in message.regions)
    semantic = _rows([one.semantic for one in message.regions])
    spatial = _rows([one.spatial for one in message.regions])
    return RegionFeatures(
        message.header,
        regions,
        None if semantic is None else Vectors(semantic, message.semantic_model, message.semantic_space),
        None if spatial is None else Vectors(spatial, message.spatial_model, message.spatial_space),
        bool(message.tracked),
    )


def _rows(vectors: Sequence[Any]) -> NDArray[np.float32] | None:
    """(n, c) of n vectors; None where they are empty."""
    lengths = {len(one) for one in vectors}
    if len(lengths) > 1:
        raise MessageError(f"RegionFeatures has vectors of {', '.join(map(str, sorted(lengths)))} numbers")
    return np.array(vectors, np.float32) if lengths and lengths != {0} else None


def box_from_message(message: Any) -> Box3D:
    """Of a vision_msgs/BoundingBox3D; of a turn about another axis than z, the part about z is kept."""
    position, turn, size = message.center.position, message.center.orientation, message.size
    yaw = math.atan2(2 * (turn.w * turn.z + turn.x * turn.y), 1 - 2 * (turn.y**2 + turn.z**2))
    return Box3D(np.array([position.x, position.y, position.z]), np.array([size.x, size.y, size.z]), yaw)


def detections_3d_from_message(message: Any) -> Detections3D:
    """Of a vision_msgs/Detection3DArray; detections without a hypothesis are left out."""
    things = []
    for one in message.detections:
        best = max(one.results, key=lambda each: each.hypothesis.score, default=None)
        if best is not None:
            label, score = best.hypothesis.class_id, float(best.hypothesis.score)
            things.append(Thing3D(label, score, box_from_message(one.bbox), one.id))
    return Detections3D(message.header, tuple(things))
