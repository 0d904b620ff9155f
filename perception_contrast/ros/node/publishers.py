"""The topics of one camera's results: what somebody listens to is wanted, and results become messages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from perception_contrast_msgs.msg import Embedding, FeatureMap
from rclpy.callback_groups import CallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import qos_policy_name_from_kind
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionInfo

from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.ros.messages.detection_messages import (
    detections_message,
    embedding_message,
    label_info_message,
    vision_info_message,
)
from perception_contrast.ros.messages.feature_map import to_message
from perception_contrast.ros.messages.image_messages import image_message
from perception_contrast.ros.qos import (
    PublisherEventCallbacks,
    UnsupportedEventTypeError,
    checked_overrides,
    latched,
    output,
    overridable,
)

if TYPE_CHECKING:
    from perception_contrast.pipeline.pipeline import Pipeline

TOPICS = {
    "features": (FeatureMap, "features"),
    "semantic_features": (FeatureMap, "semantic_features"),
    "embedding": (Embedding, "embedding"),
    "masks": (Image, "masks"),
    "detections": (Detection2DArray, "detections"),
    "overlay": (Image, "overlay"),
    "pca": (Image, "features/image"),
}


class Publishers:
    """Publishers of one camera. They publish only while the node is active.

    prefix: of the names, "front/" say. on_change: called when a listener comes or goes, where the
    middleware tells; ``events`` is False where it does not, and somebody has to look now and then.
    """

    def __init__(
        self,
        node: LifecycleNode,
        on_change: Callable[[], None] = lambda: None,
        group: CallbackGroup | None = None,
        prefix: str = "",
    ) -> None:
        self._on_change, self._group = on_change, group
        self.events = True
        self._unheard: dict[str, str] = {}
        self._publishers = {
            name: self._publisher(node, kind, f"~/{prefix}{topic}") for name, (kind, topic) in TOPICS.items()
        }
        self._allowed = frozenset(TOPICS)

    def _publisher(self, node: LifecycleNode, kind: type, topic: str) -> Any:
        resolved = node.resolve_topic_name(topic)

        def unheard(event: Any) -> None:
            self._unheard[resolved] = qos_policy_name_from_kind(event.last_policy_kind)

        arguments = {"qos_overriding_options": overridable(), "callback_group": self._group}
        try:
            # Humble's rclpy knows no matched events, and some middlewares have none.
            events = PublisherEventCallbacks(
                matched=lambda _: self._on_change(), incompatible_qos=unheard, use_default_callbacks=False
            )
            with checked_overrides(resolved):
                return node.create_lifecycle_publisher(
                    kind, topic, output(), event_callbacks=events, **arguments
                )
        except (TypeError, UnsupportedEventTypeError):
            self.events = False
            return node.create_lifecycle_publisher(kind, topic, output(), **arguments)

    def allow(self, names: Collection[str]) -> None:
        """Publishers that may be computed; others stay silent whoever listens."""
        self._allowed = frozenset(names)

    def subscribers(self) -> dict[str, int]:
        """How many listen to each output."""
        return {name: one.get_subscription_count() for name, one in self._publishers.items()}

    def request(self) -> OutputRequest:
        """What somebody listens to right now."""
        counts = self.subscribers()
        return OutputRequest(**{name: count > 0 and name in self._allowed for name, count in counts.items()})

    def unheard(self) -> dict[str, str]:
        """Topic to the policy that kept a subscriber from matching; in the order of their coming."""
        return dict(self._unheard)

    def switched_off(self) -> list[str]:
        """Publishers that somebody listens to in vain, for the parameter ``outputs`` leaves them out."""
        return [name for name, count in self.subscribers().items() if count and name not in self._allowed]

    def publish(self, result: FrameResult, header: Header, feature_dtype: str) -> None:
        """Publishes what a result holds, each message under the header of its image."""
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


class LatchedPublisher:
    """The latched topics: which label has which id, and which models made the results."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._labels, self._vision = (
            node.create_lifecycle_publisher(
                kind, f"~/{topic}", latched(), qos_overriding_options=overridable()
            )
            for kind, topic in ((LabelInfo, "label_info"), (VisionInfo, "vision_info"))
        )
        self._lock = threading.Lock()
        self._announced = -1

    def announce(self, pipeline: Pipeline, *, again: bool = False) -> bool:
        """Publishes labels and model identity if the vocabulary is new, or ``again``; True if it did."""
        with self._lock:
            # Read under the lock: of two changes at once, the newer one must be what stays latched.
            vocabulary = pipeline.vocabulary
            if vocabulary.version == self._announced and not again:
                return False
            self._announced = vocabulary.version
            header = Header(stamp=self._node.get_clock().now().to_msg())
            self._labels.publish(
                label_info_message(
                    vocabulary, header, pipeline.frame_search.detection_threshold(pipeline.settings)
                )
            )
            model, space = pipeline.models["semantic"]
            self._vision.publish(vision_info_message(model, space, vocabulary.version, header))
            return True


def nothing(request: OutputRequest) -> bool:
    """True if nobody listens to anything."""
    return not any(getattr(request, field.name) for field in fields(request))


def _map(grid, header: Header, dtype: str) -> FeatureMap | None:
    return None if grid is None else to_message(grid, header, dtype)


def _image(values, header: Header) -> Image | None:
    return None if values is None else image_message(values, header)
