"""The publishers of one camera's results: which outputs have subscribers, and results as messages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from numpy.typing import NDArray
from perception_contrast_msgs.msg import Embedding, FeatureMap, RegionFeatures
from rclpy.callback_groups import CallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import qos_policy_name_from_kind
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, Detection3DArray

from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.mapping.geometry.boxes import Box3D
from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.ros.messages.detection_messages import (
    detections_3d_message,
    detections_message,
    embedding_message,
    region_features_message,
)
from perception_contrast.ros.messages.feature_map import to_message
from perception_contrast.ros.messages.image_messages import image_message, jpeg_message
from perception_contrast.ros.qos import (
    PublisherEventCallbacks,
    UnsupportedEventTypeError,
    checked_qos_overrides,
    output_qos,
    qos_overrides,
)

# The output that is made of the pipeline's detections and the frame's depth.
BOXES = "detections_3d"
TOPICS = {
    "features": (FeatureMap, "features"),
    "semantic_features": (FeatureMap, "semantic_features"),
    "embedding": (Embedding, "embedding"),
    "masks": (Image, "masks"),
    "detections": (Detection2DArray, "detections"),
    "overlay": (Image, "overlay"),
    "pca": (Image, "features/image"),
    "instances": (Image, "instances"),
    "region_features": (RegionFeatures, "region_features"),
    BOXES: (Detection3DArray, "detections_3d"),
}


class OutputFormat(NamedTuple):
    """How results are written.

    Attributes:
        feature_dtype: float16 or float32.
        jpeg_quality: 1 to 100.
        max_depth: Largest metres of depth that 3D boxes are made of.
    """

    feature_dtype: str
    jpeg_quality: int
    max_depth: float


class OutputPublishers:
    """Publishers of one camera. They publish only while the node is active.

    Attributes:
        tells_changes: Whether ``on_change`` is called for every subscriber that comes or goes.

    Args:
        on_change: Called when a subscriber comes or goes, where the middleware has matched events.
        group: Callback group of these events.
        prefix: Of the topics' names, such as "front/".
    """

    def __init__(
        self,
        node: LifecycleNode,
        on_change: Callable[[], None] = lambda: None,
        group: CallbackGroup | None = None,
        prefix: str = "",
    ) -> None:
        self._on_change, self._group = on_change, group
        self._incompatible: dict[str, str] = {}
        self.tells_changes = True
        self._publishers = {
            name: self._publisher(node, kind, f"~/{prefix}{topic}") for name, (kind, topic) in TOPICS.items()
        }
        overlay = f"~/{prefix}{TOPICS['overlay'][1]}"
        self._overlay_jpeg = self._publisher(node, CompressedImage, _compressed_topic(node, overlay))
        self._allowed = frozenset(TOPICS)

    def _publisher(self, node: LifecycleNode, kind: type, topic: str) -> Any:
        resolved = node.resolve_topic_name(topic)

        def on_incompatible_qos(event: Any) -> None:
            self._incompatible[resolved] = qos_policy_name_from_kind(event.last_policy_kind)

        arguments = {"qos_overriding_options": qos_overrides(), "callback_group": self._group}
        try:
            # Humble's rclpy knows no matched events, and some middlewares have none.
            events = PublisherEventCallbacks(
                matched=lambda _: self._on_change(),
                incompatible_qos=on_incompatible_qos,
                use_default_callbacks=False,
            )
            with checked_qos_overrides(resolved):
                return node.create_lifecycle_publisher(
                    kind, topic, output_qos(), event_callbacks=events, **arguments
                )
        except (TypeError, UnsupportedEventTypeError):
            self.tells_changes = False
            return node.create_lifecycle_publisher(kind, topic, output_qos(), **arguments)

    def allow(self, names: Collection[str]) -> None:
        """Sets which outputs may be computed; others publish nothing, whoever subscribes."""
        self._allowed = frozenset(names)
        self._on_change()

    def subscribers(self) -> dict[str, int]:
        """Output to its number of subscribers; those of the overlay as JPEG count as the overlay's."""
        counts = {name: publisher.get_subscription_count() for name, publisher in self._publishers.items()}
        counts["overlay"] += self._overlay_jpeg.get_subscription_count()
        return counts

    def request(self) -> OutputRequest:
        """What the allowed outputs that have subscribers now are made of."""
        wanted = {name: count > 0 and name in self._allowed for name, count in self.subscribers().items()}
        if wanted.pop(BOXES):
            wanted["detections"] = True
        return OutputRequest(**wanted)

    @property
    def wants_boxes(self) -> bool:
        """Whether ``detections_3d`` is allowed and has subscribers now."""
        return BOXES in self._allowed and self._publishers[BOXES].get_subscription_count() > 0

    def incompatible_subscribers(self) -> dict[str, str]:
        """Topic to the QoS policy that kept a subscriber from matching; in the order of their coming."""
        return dict(self._incompatible)

    def switched_off(self) -> list[str]:
        """Outputs that have subscribers but that the parameter ``outputs`` leaves out."""
        return [name for name, count in self.subscribers().items() if count and name not in self._allowed]

    def publish(
        self,
        result: FrameResult,
        header: Header,
        output_format: OutputFormat,
        boxes: Sequence[Box3D | None] | None = None,
    ) -> None:
        """Publishes what a result holds.

        Args:
            result: Results of one image.
            header: The image's, unchanged.
            output_format: How features and masks are written.
            boxes: One for each detection, None for one without; None where no boxes are known.
        """
        feature_dtype = output_format.feature_dtype
        as_jpeg = result.overlay is not None and self._overlay_jpeg.get_subscription_count() > 0
        as_image = not as_jpeg or self._publishers["overlay"].get_subscription_count() > 0
        messages = {
            "features": _feature_map(result.features, header, feature_dtype),
            "semantic_features": _feature_map(result.semantic_features, header, feature_dtype),
            "masks": _image(result.masks, header),
            "overlay": _image(result.overlay if as_image else None, header),
            "pca": _image(result.pca, header),
            "instances": _image(result.instances, header),
        }
        if result.embedding is not None:
            messages["embedding"] = embedding_message(
                result.embedding, result.embedding_model, result.embedding_space, header
            )
        if result.detections is not None and "detections" in self._allowed:
            messages["detections"] = detections_message(result.detections, header)
        if result.detections is not None and boxes is not None:
            messages[BOXES] = detections_3d_message(result.detections, boxes, header)
        if result.region_features is not None:
            messages["region_features"] = region_features_message(result.region_features, header)
        for name, message in messages.items():
            if message is not None:
                self._publishers[name].publish(message)
        if as_jpeg and result.overlay is not None:
            self._overlay_jpeg.publish(jpeg_message(result.overlay, header, output_format.jpeg_quality))


def requests_anything(request: OutputRequest) -> bool:
    """True if any output is requested."""
    return any(getattr(request, field.name) for field in fields(request))


def _compressed_topic(node: LifecycleNode, name: str) -> str:
    """Where image_transport's compressed transport looks for images: beside ``name`` after remapping."""
    base = node.resolve_topic_name(name)
    moved = base != node.resolve_topic_name(name, only_expand=True)
    return f"{base if moved else name}/compressed"


def _feature_map(grid: FeatureGrid | None, header: Header, dtype: str) -> FeatureMap | None:
    return None if grid is None else to_message(grid, header, dtype)


def _image(values: NDArray[Any] | None, header: Header) -> Image | None:
    return None if values is None else image_message(values, header)
