"""Messages as nodes and clients get them: CDR through rclpy, then through our converters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

import numpy as np
import recordings
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from std_msgs.msg import Header

from fuzzing.registry import CORPUS
from fuzzing.target import Mutation, Target
from fuzzing.targets.images import require_documented
from fuzzing.targets.messages import (
    COMPRESSED,
    IMAGE,
    INFO,
    image_seeds,
    labelled,
    mutated_cdr,
    mutated_message,
    split,
)
from perception_contrast.core.camera_model import camera_from_info
from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.core.vocabulary import Exemplar, Query, Vocabulary
from perception_contrast.recordings.message_types import message_definitions
from perception_contrast.ros.messages import feature_map
from perception_contrast.ros.messages.image_messages import depth_array, frame_from_message
from perception_contrast.ros.messages.message_classes import message_class
from perception_contrast.ros.messages.query_messages import query_from_message, query_set_message

SPACE = "small@1"
_INFO_REASONS = ("uncalibrated", "unknown_distortion", "bad_distortion", "empty")


class UndecodableMessage(Exception):
    """CDR that DDS itself refuses: it never reaches a callback."""


def ros_message(kind: type, cdr: bytes) -> Any:
    """The message of CDR bytes. Raises UndecodableMessage."""
    try:
        return deserialize_message(cdr, kind)
    except Exception as error:  # of rmw or of Fast CDR, which have no common base
        raise UndecodableMessage(str(error)) from error


class RosMessages(Target):
    allowed = (PerceptionError, UndecodableMessage)

    @property
    def mutations(self) -> Sequence[Mutation]:
        return (mutated_message, mutated_message, mutated_cdr)

    def seeds(self) -> list[bytes]:
        found = image_seeds()
        found.append(
            labelled(COMPRESSED, recordings.color(0, recordings.jpeg(recordings.image(1, (12, 16)))).data)
        )
        found.append(labelled(INFO, recordings.camera_info(0, 20.0, (12, 16), "/camera_info").data))
        values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
        grid = FeatureGrid(values, "small", SPACE, GridToImage.of_resize((20, 30), (2, 3)), (20, 30))
        map_ = feature_map.to_message(grid, Header())
        queries = query_set_message(vocabulary(), Header())
        own = (("FeatureMap", map_), ("QuerySet", queries), ("Query", queries.queries[1]))
        return found + [
            labelled(f"perception_contrast_msgs/msg/{name}", serialize_message(one)) for name, one in own
        ]

    def run(self, data: bytes) -> None:
        name, cdr = split(data)
        kind = message_class(name)
        if kind is None:
            raise UndecodableMessage(f"no such type: {name!r}")
        message = ros_message(kind, cdr)
        if name in (IMAGE, COMPRESSED):
            _image(message)
        elif name == INFO:
            _calibration(message)
        elif name.endswith("/FeatureMap"):
            feature_map.to_grid(message)
        elif name.endswith("/Query"):
            query_from_message(message, SPACE, vocabulary().queries[1].exemplars)
        elif name.endswith("/QuerySet"):
            Vocabulary().with_queries(
                [query_from_message(one, SPACE) for one in message.queries], message.distractors
            )


@cache
def vocabulary() -> Vocabulary:
    """Words, and an exemplar of SPACE."""
    shown = Exemplar(np.array([0.6, 0.8, 0.0], np.float32), SPACE)
    queries = (Query("mug", ("a mug",), negatives=("a cup",), threshold=0.3), Query("it", exemplars=(shown,)))
    return Vocabulary().with_queries(queries, ("wall",))


def _image(message: Any) -> None:
    for read in (frame_from_message, depth_array):
        try:
            read(message)
        except FrameError as error:
            require_documented(error)
            last = error
        else:
            return
    raise last


def _calibration(message: Any) -> None:
    try:
        camera_from_info(message)
    except FrameError as error:
        assert error.reason in _INFO_REASONS, f"the reason '{error.reason}' is not documented"
        raise


@cache
def service_types() -> Any:
    """The message types with the requests of our services, from their definitions."""
    store, added = get_typestore(Stores.ROS2_HUMBLE), {}
    for name, definition in message_definitions().items():
        added |= get_types_from_msg(definition, name)
    for path in interface_files():
        request = path.read_text("utf-8").partition("---")[0]
        added |= get_types_from_msg(request, f"perception_contrast_msgs/srv/{path.stem}_Request")
    store.register(added)
    return store


def interface_files() -> list[Any]:
    """The .srv files of the source tree."""
    return sorted((CORPUS.parents[2] / "interfaces/perception_contrast_msgs/srv").glob("*.srv"))


def mutated_request(rng: Random, data: bytes) -> bytes:
    """As ``mutated_message``, for requests."""
    return mutated_message(rng, data, service_types())
