"""The newest messages of a perception_node's topics without waiting: each method returns a future."""

from __future__ import annotations

from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.camera_image import CameraImage
from perception_contrast.client.futures import ClientFuture, chain_future
from perception_contrast.client.identified_results import Detections3D, Instances, RegionFeatures
from perception_contrast.client.node_requests import NodeRequests
from perception_contrast.client.node_topics import PerceptionTopics
from perception_contrast.client.result_types import (
    Detections,
    Features,
    ImageVector,
    Masks,
    StageTimes,
)
from perception_contrast.client.target import Target


class AsyncResults(NodeRequests):
    """The methods of PerceptionClient that give messages.

    Args:
        timeout: Seconds of a request by default.
    """

    def __init__(
        self, background: BackgroundNode, target: Target, topics: PerceptionTopics, timeout: float
    ) -> None:
        super().__init__(background, target, topics, timeout)
        self._topics = topics

    def next_detections(self, timeout: float | None = None) -> ClientFuture[Detections]:
        return self._message(self._topics.detections, timeout)

    def latest_detections(self, timeout: float | None = None) -> ClientFuture[Detections]:
        return self._message(self._topics.detections, timeout, newest=True)

    def latest_features(
        self, timeout: float | None = None, *, semantic: bool = False
    ) -> ClientFuture[Features]:
        topic = self._topics.semantic_features if semantic else self._topics.features
        return self._message(topic, timeout, newest=True)

    def latest_masks(self, timeout: float | None = None) -> ClientFuture[Masks]:
        # The labels of ids are latched: they come before, or with, the first mask.
        return chain_future(
            self._message(self._topics.label_info, timeout, newest=True),
            lambda _: self._message(self._topics.masks, timeout, newest=True),
        )

    def latest_instances(self, timeout: float | None = None) -> ClientFuture[Instances]:
        return self._message(self._topics.instances, timeout, newest=True)

    def latest_region_features(self, timeout: float | None = None) -> ClientFuture[RegionFeatures]:
        return self._message(self._topics.region_features, timeout, newest=True)

    def latest_detections_3d(self, timeout: float | None = None) -> ClientFuture[Detections3D]:
        return self._message(self._topics.detections_3d, timeout, newest=True)

    def latest_image(self, timeout: float | None = None) -> ClientFuture[CameraImage]:
        return self._message(self._topics.images, timeout, newest=True)

    def latest_overlay(self, timeout: float | None = None) -> ClientFuture[CameraImage]:
        return self._message(self._topics.overlay, timeout, newest=True)

    def latest_pca(self, timeout: float | None = None) -> ClientFuture[CameraImage]:
        return self._message(self._topics.pca, timeout, newest=True)

    def latest_embedding(self, timeout: float | None = None) -> ClientFuture[ImageVector]:
        return self._message(self._topics.embedding, timeout, newest=True)

    def latest_latency(self, timeout: float | None = None) -> ClientFuture[StageTimes]:
        return self._message(self._topics.latency, timeout, newest=True)
