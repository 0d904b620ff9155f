"""The messages of a perception_node's topics: the newest of each, and streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perception_contrast.client.async_results import AsyncResults
from perception_contrast.client.camera_image import CameraImage
from perception_contrast.client.identified_results import Detections3D, Instances, RegionFeatures
from perception_contrast.client.node_client import NodeClient
from perception_contrast.client.node_topics import PerceptionTopics
from perception_contrast.client.result_types import (
    Detections,
    Features,
    ImageVector,
    Masks,
    StageTimes,
)
from perception_contrast.client.streams import Stream
from perception_contrast.client.target import Target


class ResultMethods(NodeClient):
    """The methods of PerceptionClient that give messages of topics."""

    def __init__(self, target: Target, topics: PerceptionTopics, start: AsyncResults) -> None:
        super().__init__(target, topics, start)
        self._topics, self._results = topics, start

    def next_detections(self, timeout: float | None = None) -> Detections:
        """The first detections that come after the call."""
        return self._results.next_detections(timeout).result()

    def latest_detections(self, timeout: float | None = None) -> Detections:
        """The newest detections; the next ones if none came while subscribed."""
        return self._results.latest_detections(timeout).result()

    def latest_features(self, timeout: float | None = None, *, semantic: bool = False) -> Features:
        """The newest features, in the same way; ``values`` is (h, w, c), a view on the message.

        semantic: those that text is compared with.
        """
        return self._results.latest_features(timeout, semantic=semantic).result()

    def latest_masks(self, timeout: float | None = None) -> Masks:
        """The newest masks, in the same way, with the names of their ids."""
        return self._results.latest_masks(timeout).result()

    def latest_instances(self, timeout: float | None = None) -> Instances:
        """The newest image of the detections' ids, in the same way."""
        return self._results.latest_instances(timeout).result()

    def latest_region_features(self, timeout: float | None = None) -> RegionFeatures:
        """The newest detections with their vectors, in the same way."""
        return self._results.latest_region_features(timeout).result()

    def latest_detections_3d(self, timeout: float | None = None) -> Detections3D:
        """The newest detections with boxes in the camera's optical frame, in the same way."""
        return self._results.latest_detections_3d(timeout).result()

    def detections(self, timeout: float | None = None) -> Stream[Detections]:
        """An iterator over detections; timeout: seconds without a message after which it raises."""
        return self._stream(self._topics.detections, timeout)

    def features(self, timeout: float | None = None, *, semantic: bool = False) -> Stream[Features]:
        """An iterator over features."""
        return self._stream(self._topics.semantic_features if semantic else self._topics.features, timeout)

    def masks(self, timeout: float | None = None) -> Stream[Masks]:
        """An iterator over masks; their names are known while ``labels`` is subscribed to."""
        return self._stream(self._topics.masks, timeout)

    def labels(self, timeout: float | None = None) -> Stream[dict[int, str]]:
        """An iterator over the labels of mask ids at each change of the queries.

        The present ones come first where nobody was subscribed to them yet.
        """
        return self._stream(self._topics.label_info, timeout)

    def instances(self, timeout: float | None = None) -> Stream[Instances]:
        """An iterator over images of the detections' ids."""
        return self._stream(self._topics.instances, timeout)

    def region_features(self, timeout: float | None = None) -> Stream[RegionFeatures]:
        """An iterator over detections with their vectors."""
        return self._stream(self._topics.region_features, timeout)

    def detections_3d(self, timeout: float | None = None) -> Stream[Detections3D]:
        """An iterator over detections with boxes in the camera's optical frame."""
        return self._stream(self._topics.detections_3d, timeout)

    def latest_image(self, timeout: float | None = None) -> CameraImage:
        """The newest image of the camera, in the same way, as it was sent."""
        return self._results.latest_image(timeout).result()

    def latest_overlay(self, timeout: float | None = None) -> CameraImage:
        """The newest image with masks and labels drawn over it, in the same way; a JPEG."""
        return self._results.latest_overlay(timeout).result()

    def latest_pca(self, timeout: float | None = None) -> CameraImage:
        """The three main components of the newest features as colours, in the same way."""
        return self._results.latest_pca(timeout).result()

    def latest_embedding(self, timeout: float | None = None) -> ImageVector:
        """The vector of the newest image as a whole, in the same way."""
        return self._results.latest_embedding(timeout).result()

    def latest_latency(self, timeout: float | None = None) -> StageTimes:
        """How long the newest image took in each stage of the node, in the same way."""
        return self._results.latest_latency(timeout).result()

    def images(self, timeout: float | None = None) -> Stream[CameraImage]:
        """An iterator over the camera's images, whether or not the node processes them."""
        return self._stream(self._topics.images, timeout)

    def overlay(self, timeout: float | None = None) -> Stream[CameraImage]:
        """An iterator over images with masks and labels drawn over them, as JPEG."""
        return self._stream(self._topics.overlay, timeout)

    def pca(self, timeout: float | None = None) -> Stream[CameraImage]:
        """An iterator over features as colours."""
        return self._stream(self._topics.pca, timeout)

    def embedding(self, timeout: float | None = None) -> Stream[ImageVector]:
        """An iterator over vectors of whole images."""
        return self._stream(self._topics.embedding, timeout)

    def latency(self, timeout: float | None = None) -> Stream[StageTimes]:
        """An iterator over the times that images take."""
        return self._stream(self._topics.latency, timeout)

    def on_detections(self, callback: Callable[[Detections], Any]) -> Callable[[], None]:
        """Calls back with detections, in the client's thread. Returns a function that ends it."""
        return self._listen(self._topics.detections, callback)
