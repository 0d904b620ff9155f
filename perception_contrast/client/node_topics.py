"""The topics of a perception_node that a client subscribes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perception_contrast_msgs.msg import FeatureMap
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray, LabelInfo

from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.result_types import (
    Masks,
    channel_array,
    detections_from_message,
    features_from_message,
)
from perception_contrast.client.target import Target
from perception_contrast.client.topic_subscription import TopicSubscription
from perception_contrast.ros.qos import latched_qos


class NodeTopics:
    """Subscriptions to one camera's results.

    Args:
        linger: Seconds that a subscription outlives its last use.
    """

    def __init__(self, background: BackgroundNode, target: Target, linger: float) -> None:
        self._background, self._linger = background, linger
        self._labels: dict[int, str] = {}
        self._skipped = 0
        self.detections = self._subscribe(
            Detection2DArray, target.of_camera("detections"), detections_from_message
        )
        self.features = self._subscribe(FeatureMap, target.of_camera("features"), features_from_message)
        self.semantic_features = self._subscribe(
            FeatureMap, target.of_camera("semantic_features"), features_from_message
        )
        self.masks = self._subscribe(Image, target.of_camera("masks"), self._masks)
        # Of the whole node, for all cameras.
        self.label_info = self._subscribe(
            LabelInfo, target.service("label_info"), self._add_labels, latched_qos()
        )

    @property
    def skipped(self) -> int:
        """Number of messages that could not be read."""
        return self._skipped

    def _subscribe(
        self, kind: Any, topic: str, convert: Callable[[Any], Any], qos: QoSProfile | None = None
    ) -> TopicSubscription:
        return TopicSubscription(
            self._background, kind, topic, convert, self._on_unreadable, self._linger, qos
        )

    def _add_labels(self, message: Any) -> dict[int, str]:
        # Ids stay with their labels for as long as a node lives: labels of earlier ids are kept.
        self._labels = self._labels | {int(one.class_id): one.class_name for one in message.class_map}
        return self._labels

    def _masks(self, message: Any) -> Masks:
        return Masks(message.header, channel_array(message, "mono16", "<u2"), self._labels)

    def _on_unreadable(self, topic: str, error: Exception) -> None:
        self._skipped += 1
        if self._skipped == 1 or self._skipped % 100 == 0:
            self._background.node.get_logger().warning(
                f"a message on {topic} was skipped ({self._skipped} so far): {error}"
            )
