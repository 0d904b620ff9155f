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
    """The methods of PerceptionClient that return messages of topics.

    A ``latest_...`` method returns the newest message; if none came while the client was subscribed, it waits
    for the next one.
    """

    def __init__(self, target: Target, topics: PerceptionTopics, start: AsyncResults) -> None:
        super().__init__(target, topics, start)
        self._topics, self._results = topics, start

    def next_detections(self, timeout: float | None = None) -> Detections:
        """Waits for the first detections after the call.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The detections of one image.
        """
        return self._results.next_detections(timeout).result()

    def latest_detections(self, timeout: float | None = None) -> Detections:
        """Gives the newest detections.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The detections of one image.
        """
        return self._results.latest_detections(timeout).result()

    def latest_features(self, timeout: float | None = None, *, semantic: bool = False) -> Features:
        """Gives the newest dense features.

        Args:
            timeout: Seconds to wait; None takes the default of the client.
            semantic: The features that are comparable with text, instead of the image encoder's.

        Returns:
            The features; ``values`` is (h, w, c), a view on the message.
        """
        return self._results.latest_features(timeout, semantic=semantic).result()

    def latest_masks(self, timeout: float | None = None) -> Masks:
        """Gives the newest masks.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The masks with the names of their ids.
        """
        return self._results.latest_masks(timeout).result()

    def latest_instances(self, timeout: float | None = None) -> Instances:
        """Gives the newest image of detection ids.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The id of each pixel's detection.
        """
        return self._results.latest_instances(timeout).result()

    def latest_region_features(self, timeout: float | None = None) -> RegionFeatures:
        """Gives the newest detections with their vectors.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The regions and their vectors.
        """
        return self._results.latest_region_features(timeout).result()

    def latest_detections_3d(self, timeout: float | None = None) -> Detections3D:
        """Gives the newest detections with 3D boxes.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The detections, in the camera's optical frame (REP 103).
        """
        return self._results.latest_detections_3d(timeout).result()

    def detections(self, timeout: float | None = None) -> Stream[Detections]:
        """Iterates over detections.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.detections, timeout)

    def features(self, timeout: float | None = None, *, semantic: bool = False) -> Stream[Features]:
        """Iterates over dense features.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.
            semantic: As of ``latest_features``.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.semantic_features if semantic else self._topics.features, timeout)

    def masks(self, timeout: float | None = None) -> Stream[Masks]:
        """Iterates over masks. Their names are known only while ``labels`` has a subscriber.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.masks, timeout)

    def labels(self, timeout: float | None = None) -> Stream[dict[int, str]]:
        """Iterates over the labels of mask ids, at each change of the queries.

        The present labels come first, if nobody was subscribed to them yet.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator over id to label.
        """
        return self._stream(self._topics.label_info, timeout)

    def instances(self, timeout: float | None = None) -> Stream[Instances]:
        """Iterates over images of detection ids.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.instances, timeout)

    def region_features(self, timeout: float | None = None) -> Stream[RegionFeatures]:
        """Iterates over detections with their vectors.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.region_features, timeout)

    def detections_3d(self, timeout: float | None = None) -> Stream[Detections3D]:
        """Iterates over detections with 3D boxes in the camera's optical frame (REP 103).

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.detections_3d, timeout)

    def latest_image(self, timeout: float | None = None) -> CameraImage:
        """Gives the newest image of the camera, as it was sent.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The image.
        """
        return self._results.latest_image(timeout).result()

    def latest_overlay(self, timeout: float | None = None) -> CameraImage:
        """Gives the newest image with masks and labels drawn over it.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The image, a JPEG.
        """
        return self._results.latest_overlay(timeout).result()

    def latest_pca(self, timeout: float | None = None) -> CameraImage:
        """Gives the first three principal components of the newest features, as colours.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The image.
        """
        return self._results.latest_pca(timeout).result()

    def latest_embedding(self, timeout: float | None = None) -> ImageVector:
        """Gives the vector of the newest image as a whole.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The vector, as one row.
        """
        return self._results.latest_embedding(timeout).result()

    def latest_latency(self, timeout: float | None = None) -> StageTimes:
        """Gives the time that the newest image took in each stage of the node.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            Milliseconds by stage.
        """
        return self._results.latest_latency(timeout).result()

    def images(self, timeout: float | None = None) -> Stream[CameraImage]:
        """Iterates over the camera's images, whether or not the node processes them.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.images, timeout)

    def overlay(self, timeout: float | None = None) -> Stream[CameraImage]:
        """Iterates over images with masks and labels drawn over them, as JPEG.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.overlay, timeout)

    def pca(self, timeout: float | None = None) -> Stream[CameraImage]:
        """Iterates over features as colours.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.pca, timeout)

    def embedding(self, timeout: float | None = None) -> Stream[ImageVector]:
        """Iterates over vectors of whole images.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.embedding, timeout)

    def latency(self, timeout: float | None = None) -> Stream[StageTimes]:
        """Iterates over the times that images take in each stage.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.latency, timeout)

    def on_detections(self, callback: Callable[[Detections], Any]) -> Callable[[], None]:
        """Calls a function with the detections of each image.

        Args:
            callback: Takes the detections; runs in the client's thread.

        Returns:
            A function that ends this.
        """
        return self._listen(self._topics.detections, callback)
