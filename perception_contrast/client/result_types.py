"""Results of the client: messages as arrays and plain values, each with the header of its image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FeatureArray
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.vocabulary import UNLABELLED
from perception_contrast.ros.messages.feature_map import to_grid
from perception_contrast.ros.messages.image_messages import nanoseconds
from perception_contrast.ros.monitoring.latency import STAGES, FrameTimeline


@dataclass(frozen=True)
class Stamped:
    """A result of one image.

    Attributes:
        header: std_msgs/Header of the source image, unchanged.
    """

    header: Any

    @property
    def stamp(self) -> int:
        """Time of the image in nanoseconds."""
        return nanoseconds(self.header.stamp)

    @property
    def frame_id(self) -> str:
        """The camera's optical frame (REP 103, REP 105)."""
        return str(self.header.frame_id)


@dataclass(frozen=True)
class Thing:
    """One detection.

    Attributes:
        label: Label of its query.
        score: Probability.
        box: x0, y0, x1, y1 in pixels of the source image; a box over columns 10 to 19 has x0 = 10, x1 = 20.
        track_id: Id of the detection, the same in all results of one image. It stays with the object; without
            tracking it is the number of the detection in its image.
    """

    label: str
    score: float
    box: tuple[float, float, float, float]
    track_id: str

    @property
    def centre(self) -> tuple[float, float]:
        """x, y in pixels, pixel centres at integers."""
        x0, y0, x1, y1 = self.box
        return (x0 + x1 - 1.0) / 2.0, (y0 + y1 - 1.0) / 2.0


@dataclass(frozen=True)
class Sighting(Stamped):
    """A detection and the header of its image.

    Attributes:
        thing: The detection.
    """

    thing: Thing


@dataclass(frozen=True)
class Detections(Stamped):
    """The detections of one image.

    Attributes:
        things: The detections.
    """

    things: tuple[Thing, ...]

    def of(self, label: str, minimum: float = 0.0) -> tuple[Thing, ...]:
        """Selects the detections of a label.

        Args:
            label: The label.
            minimum: Lowest probability.

        Returns:
            The detections, the most probable first.
        """
        chosen = (one for one in self.things if one.label == label and one.score >= minimum)
        return tuple(sorted(chosen, key=lambda one: -one.score))

    def best(self, label: str, minimum: float = 0.0) -> Thing | None:
        """Selects the most probable detection of a label.

        Args:
            label: The label.
            minimum: Lowest probability.

        Returns:
            The detection; None if there is none.
        """
        return next(iter(self.of(label, minimum)), None)


@dataclass(frozen=True)
class Masks(Stamped):
    """The label of each pixel.

    Attributes:
        ids: (H, W) uint16, a view on the message; 65535 is unlabelled.
        names: Id to label.
    """

    ids: NDArray[np.uint16]
    names: Mapping[int, str]

    def of(self, label: str) -> NDArray[np.bool_]:
        """Gives the mask of a label.

        Args:
            label: The label.

        Returns:
            (H, W) bool, True where a pixel has the label.
        """
        numbers = [number for number, name in self.names.items() if name == label and number != UNLABELLED]
        return np.isin(self.ids, numbers)


@dataclass(frozen=True)
class Features(Stamped):
    """Dense features of one image.

    Attributes:
        grid: Values (h, w, c) with the map from cells to pixels.
    """

    grid: FeatureGrid

    @property
    def values(self) -> FeatureArray:
        """(h, w, c) float16 or float32, without a copy."""
        return self.grid.values

    @property
    def space(self) -> str:
        """Embedding space; vectors may be compared only if their spaces are equal."""
        return self.grid.space


@dataclass(frozen=True)
class Vectors:
    """Unit vectors of one space.

    Attributes:
        vectors: (n, c) float32, unit rows.
        model: Name of the model.
        space: Embedding space.
    """

    vectors: NDArray[np.float32]
    model: str
    space: str


@dataclass(frozen=True)
class ImageVector(Stamped):
    """The vector of a whole image.

    Attributes:
        vectors: One row.
    """

    vectors: Vectors


@dataclass(frozen=True)
class StageTimes(Stamped):
    """How long one image took in the node.

    Attributes:
        camera: Name of the camera; "" for a single camera without a name.
        milliseconds: Milliseconds by stage, as docs/ros_interface.md lists them.
    """

    camera: str
    milliseconds: Mapping[str, float]


@dataclass(frozen=True)
class Heatmap(Stamped):
    """A value for each pixel of one image.

    Attributes:
        values: (H, W) float32 of the source image's size: cosines, or probabilities of a label.
        space: Embedding space of the comparison.
    """

    values: NDArray[np.float32]
    space: str


def thing_from_message(message: Any) -> Thing | None:
    """The best hypothesis of a vision_msgs/Detection2D and its box; None if it has none."""
    best = max(message.results, key=lambda one: one.hypothesis.score, default=None)
    if best is None:
        return None
    centre, width, height = message.bbox.center.position, message.bbox.size_x, message.bbox.size_y
    # Pixel centres lie at integers: a box of n pixels around c spans c - n / 2 + 0.5 and n more.
    x0, y0 = centre.x - width / 2 + 0.5, centre.y - height / 2 + 0.5
    box = (x0, y0, x0 + width, y0 + height)
    return Thing(best.hypothesis.class_id, float(best.hypothesis.score), box, message.id)


def detections_from_message(message: Any) -> Detections:
    """Reads a vision_msgs/Detection2DArray."""
    found = (thing_from_message(one) for one in message.detections)
    return Detections(message.header, tuple(one for one in found if one is not None))


def features_from_message(message: Any) -> Features:
    """Reads a perception_contrast_msgs/FeatureMap.

    Args:
        message: The message.

    Returns:
        The features, without a copy.

    Raises:
        FeatureMapError: The fields contradict each other.
    """
    return Features(message.header, to_grid(message))


def image_vector_from_message(message: Any) -> ImageVector:
    """Reads a perception_contrast_msgs/Embedding."""
    row = np.array(message.data, np.float32)[None]
    return ImageVector(message.header, Vectors(row, message.model, message.space))


def stage_times_from_message(message: Any) -> StageTimes:
    """Reads a perception_contrast_msgs/Latency."""
    times = {name: nanoseconds(getattr(message, name)) for name in STAGES}
    timings = dict(zip(message.stages, map(float, message.milliseconds), strict=True))
    seconds = {name: (time - times["received"]) / 1e9 for name, time in times.items()}
    since_stamp = (times["published"] - nanoseconds(message.header.stamp)) / 1e6
    spans = FrameTimeline(**seconds, timings=timings).milliseconds(since_stamp)
    return StageTimes(message.header, message.camera, spans)
