"""The topics of perception_node: what somebody listens to is wanted, and results become messages."""

from __future__ import annotations

import threading
from dataclasses import fields
from typing import TYPE_CHECKING

from perception_contrast_msgs.msg import Embedding, FeatureMap
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionInfo

from ..wants import Result, Wants
from .convert import image_message
from .feature_map import to_message
from .qos import latched, output, overridable
from .results import detections_message, embedding_message, label_info_message, vision_info_message

if TYPE_CHECKING:
    from ..pipeline import Pipeline

_TOPICS = {
    "features": (FeatureMap, "~/features"),
    "semantic_features": (FeatureMap, "~/semantic_features"),
    "embedding": (Embedding, "~/embedding"),
    "masks": (Image, "~/masks"),
    "detections": (Detection2DArray, "~/detections"),
    "overlay": (Image, "~/overlay"),
    "pca": (Image, "~/features/image"),
}


class Outputs:
    """Publishers of one node. They publish only while the node is active."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._publishers = {
            name: node.create_lifecycle_publisher(kind, topic, output(), qos_overriding_options=overridable())
            for name, (kind, topic) in _TOPICS.items()
        }
        self._labels, self._vision = (
            node.create_lifecycle_publisher(kind, topic, latched(), qos_overriding_options=overridable())
            for kind, topic in ((LabelInfo, "~/label_info"), (VisionInfo, "~/vision_info"))
        )
        self._lock = threading.Lock()
        self._announced = -1

    def subscribers(self) -> dict[str, int]:
        """How many listen to each output."""
        return {name: one.get_subscription_count() for name, one in self._publishers.items()}

    def wants(self) -> Wants:
        """What somebody listens to right now."""
        return Wants(**{name: count > 0 for name, count in self.subscribers().items()})

    def announce(self, pipeline: Pipeline, *, again: bool = False) -> None:
        """Publishes the latched labels and model identity if the vocabulary is new, or ``again``."""
        with self._lock:
            # Read under the lock: of two changes at once, the newer one must be what stays latched.
            vocabulary = pipeline.vocabulary
            if vocabulary.version == self._announced and not again:
                return
            self._announced = vocabulary.version
            header = Header(stamp=self._node.get_clock().now().to_msg())
            self._labels.publish(label_info_message(vocabulary, header, pipeline.detection_threshold))
            model, space = pipeline.models["semantic"]
            self._vision.publish(vision_info_message(model, space, vocabulary.version, header))

    def publish(self, result: Result, header: Header, feature_dtype: str) -> None:
        """Publishes what a result holds, each message under the header of its picture."""
        messages = {
            "features": _map(result.features, header, feature_dtype),
            "semantic_features": _map(result.semantic_features, header, feature_dtype),
            "masks": _image(result.masks, header),
            "overlay": _image(result.overlay, header),
            "pca": _image(result.pca, header),
        }
        if result.embedding is not None:
            messages["embedding"] = embedding_message(
                result.embedding, result.embedding_model, result.embedding_space, header
            )
        if result.detections is not None:
            messages["detections"] = detections_message(result.detections, header)
        for name, message in messages.items():
            if message is not None:
                self._publishers[name].publish(message)


def nothing(wants: Wants) -> bool:
    """True if nobody listens to anything."""
    return not any(getattr(wants, field.name) for field in fields(wants))


def _map(grid, header: Header, dtype: str) -> FeatureMap | None:
    return None if grid is None else to_message(grid, header, dtype)


def _image(values, header: Header) -> Image | None:
    return None if values is None else image_message(values, header)
