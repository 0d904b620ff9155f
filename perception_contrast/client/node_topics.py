"""The topics of a node that a client subscribes to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from perception_contrast_msgs.msg import Embedding, FeatureMap, Latency, RegionFeatures
from rclpy.qos import QoSProfile, qos_profile_parameter_events
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2DArray, Detection3DArray, LabelInfo

from perception_contrast.client import node_diagnostics, parameter_values
from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.camera_image import camera_image, image_source, reported_image_source
from perception_contrast.client.identified_results import (
    detections_3d_from_message,
    instances_from_message,
    region_features_from_message,
)
from perception_contrast.client.result_types import (
    Masks,
    StageTimes,
    detections_from_message,
    features_from_message,
    image_vector_from_message,
    stage_times_from_message,
)
from perception_contrast.client.target import Target
from perception_contrast.client.topic_subscription import Source, TopicSubscription
from perception_contrast.ros.messages.image_messages import channel_array
from perception_contrast.ros.qos import latched_qos, output_qos


class NodeTopics:
    """Subscriptions to what every node of ours publishes.

    Args:
        linger: Seconds that a subscription outlives its last use.
    """

    def __init__(self, background: BackgroundNode, target: Target, linger: float) -> None:
        self._background, self._target, self._linger = background, target, linger
        self._skipped = 0
        # Many nodes share these two topics, so that a short queue would lose messages.
        self.diagnostics = self._subscription(
            node_diagnostics.SOURCE, node_diagnostics.diagnostics_of(target.node), output_qos(10)
        )
        self.parameter_changes = self._subscription(
            parameter_values.EVENTS, parameter_values.changes_of(target.node), qos_profile_parameter_events
        )

    @property
    def skipped(self) -> int:
        """Number of messages that could not be read."""
        return self._skipped

    def _subscription(
        self,
        source: Source | Callable[[], Source | None],
        convert: Callable[[Any], Any],
        qos: QoSProfile | None = None,
        *,
        raw: bool = False,
        name: str = "",
    ) -> TopicSubscription:
        return TopicSubscription(
            self._background, source, convert, self._on_unreadable, self._linger, qos, raw, name
        )

    def _on_unreadable(self, topic: str, error: Exception) -> None:
        self._skipped += 1
        if self._skipped == 1 or self._skipped % 100 == 0:
            self._background.node.get_logger().warning(
                f"a message on {topic} was skipped ({self._skipped} so far): {error}"
            )


class PerceptionTopics(NodeTopics):
    """Subscriptions to one camera's results, and to its images.

    Args:
        linger: Seconds that a subscription outlives its last use.
        image_topic: Full name of the topic of the camera's images; "" for the one that the node reads.
    """

    def __init__(
        self, background: BackgroundNode, target: Target, linger: float, image_topic: str = ""
    ) -> None:
        super().__init__(background, target, linger)
        self._labels: dict[int, str] = {}
        self.detections = self._of_camera(Detection2DArray, "detections", detections_from_message)
        self.features = self._of_camera(FeatureMap, "features", features_from_message)
        self.semantic_features = self._of_camera(FeatureMap, "semantic_features", features_from_message)
        self.embedding = self._of_camera(Embedding, "embedding", image_vector_from_message)
        self.masks = self._of_camera(Image, "masks", self._masks)
        self.instances = self._of_camera(Image, "instances", instances_from_message)
        self.region_features = self._of_camera(
            RegionFeatures, "region_features", region_features_from_message
        )
        self.detections_3d = self._of_camera(Detection3DArray, "detections_3d", detections_3d_from_message)
        self.overlay = self._of_camera(CompressedImage, "overlay/compressed", camera_image)
        self.pca = self._of_camera(Image, "features/image", camera_image)
        self.images = self._images(image_topic)
        # Of the whole node, for all cameras.
        self.latency = self._subscription(Source(target.service("latency"), Latency), self._stage_times)
        self.label_info = self._subscription(
            Source(target.service("label_info"), LabelInfo), self._add_labels, latched_qos()
        )

    def _of_camera(self, kind: Any, name: str, convert: Callable[[Any], Any]) -> TopicSubscription:
        return self._subscription(Source(self._target.of_camera(name), kind), convert)

    def _images(self, topic: str) -> TopicSubscription:
        node = self._background.node
        name = topic or "the topic of the camera's images, which the node's diagnostics tell"
        find = (
            partial(image_source, node, topic)
            if topic
            else reported_image_source(node, self._target.camera, self.diagnostics)
        )
        return self._subscription(find, camera_image, name=name)

    def _stage_times(self, message: Any) -> StageTimes | None:
        return stage_times_from_message(message) if message.camera == self._target.camera else None

    def _add_labels(self, message: Any) -> dict[int, str]:
        # Ids stay with their labels for as long as a node lives: labels of earlier ids are kept.
        self._labels = self._labels | {int(one.class_id): one.class_name for one in message.class_map}
        return self._labels

    def _masks(self, message: Any) -> Masks:
        return Masks(message.header, channel_array(message, "mono16", "<u2"), self._labels)
