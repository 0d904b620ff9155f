"""PerceptionClient: requests to perception_node from a Python program."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from rclpy.node import Node

from perception_contrast.client.async_requests import AsyncRequests
from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.map_client import MapClient
from perception_contrast.client.map_results import ApproachPose, MapFinding, MapThing
from perception_contrast.client.node_topics import PerceptionTopics
from perception_contrast.client.request_messages import Box, RgbImage
from perception_contrast.client.result_methods import ResultMethods
from perception_contrast.client.result_types import Heatmap, Sighting, Vectors
from perception_contrast.client.running_nodes import RunningNodes, running_nodes
from perception_contrast.client.target import MAP, Target
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.text.zero_shot import Classification
from perception_contrast.text.zero_shot import ImageTextSimilarity as TextScores


class PerceptionClient(ResultMethods):
    """Sends requests to one perception_node, from a script or from a node; a context manager.

    Attribute ``map`` is a MapClient for the map_node that stands beside it, ``parameters`` are those of the
    perception_node.

    Every method waits for its result, in any thread and in any callback of your own node: a thread of the
    client's own does the work, and your node need not be spun. ``start`` has the same methods without
    waiting: they return a ClientFuture, which can be awaited or given a callback. Topics are subscribed to
    only while they are used and ``linger`` seconds longer, and the perception node computes only outputs
    that have subscribers.

    All methods raise NodeAbsentError, NodeNotActiveError, RefusedError or NoAnswerError, which are
    ClientErrors and say what to do. In callbacks of the client itself (``on_detections``) a method that
    would wait raises ClosedError.

    Args:
        node: The node to work in, whose context, namespace and remappings are used. Without one the client
            makes a context of its own from ``args``, as rclpy.init would.
        target: Name of the perception_node, in the node's namespace unless it begins with "/".
        camera: Name of the camera, where the node has several.
        image_topic: Topic of the camera's images; "" for the one that the node's diagnostics tell.
        map_target: Name of the map_node, in the same way; for ``find``, ``approach`` and ``map``.
        timeout: Seconds that a method waits by default.
        linger: Seconds that a subscription outlives its last use.
        args: Command line, as of rclpy.init.
    """

    def __init__(
        self,
        node: Node | None = None,
        *,
        target: str = "perception_node",
        camera: str = "",
        image_topic: str = "",
        map_target: str = "map_node",
        timeout: float = 10.0,
        linger: float = 3.0,
        args: Sequence[str] | None = None,
    ) -> None:
        self._background = BackgroundNode(node, args)
        self._timeout, self._linger, self._is_owner = timeout, linger, True
        map_node = Target(self._background.full_name(map_target), kind=MAP)
        self.map = MapClient(self._background, map_node, timeout, linger)
        self._of_cameras: dict[tuple[str, str], PerceptionClient] = {}
        self._bind(Target(self._background.full_name(target), camera), image_topic)
        self._of_cameras[camera, image_topic] = self

    def _bind(self, target: Target, image_topic: str) -> None:
        topic = self._background.topic_name(image_topic) if image_topic else ""
        topics = PerceptionTopics(self._background, target, self._linger, topic)
        self.start = AsyncRequests(self._background, target, topics, self._timeout)
        super().__init__(target, topics, self.start)

    def close(self) -> None:
        """Ends the client's thread and subscriptions; calls that still wait raise ClosedError.

        One that ``for_camera`` gave ends with the client that gave it, and not before.
        """
        if self._is_owner:
            self._background.close()

    def __enter__(self) -> PerceptionClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The node.

    def cameras(self, timeout: float | None = None) -> tuple[str, ...]:
        """Names of the node's cameras; "" for the only one."""
        return tuple(self.parameters.get(["cameras"], timeout)["cameras"])  # type: ignore[arg-type]

    def for_camera(self, name: str, image_topic: str = "") -> PerceptionClient:
        """A client of another camera of the node, which shares thread, node and ``map`` with this one.

        Args:
            name: One of ``cameras()``.
            image_topic: As of PerceptionClient.
        """
        if (name, image_topic) not in self._of_cameras:
            other = copy.copy(self)
            other._is_owner = False
            other._bind(Target(self.target, name), image_topic)
            self._of_cameras[name, image_topic] = other
        return self._of_cameras[name, image_topic]

    def nodes(self) -> RunningNodes:
        """The perception_nodes and map_nodes that this client has discovered until now."""
        return running_nodes(self._background.node)

    # The vocabulary.

    def set_queries(
        self, queries: Iterable[str | Query], distractors: Sequence[str] = (), timeout: float | None = None
    ) -> int:
        """Replaces the vocabulary.

        Args:
            queries: Each a label, a line ``label: phrase; phrase; !negative``, or a Query.
            distractors: Labels that compete with the queries and are never published.

        Returns:
            The new version of the vocabulary.
        """
        return self.start.set_queries(queries, distractors, timeout).result()

    def get_queries(self, timeout: float | None = None) -> tuple[Query, ...]:
        """The queries in force, with their exemplars; they can be passed to ``set_queries``."""
        return self.start.get_queries(timeout).result()

    def get_vocabulary(self, timeout: float | None = None) -> Vocabulary:
        """The queries in force with the distractors and the version; ``labels`` gives the ids of masks."""
        return self.start.get_vocabulary(timeout).result()

    def also_ask(self, queries: Iterable[str | Query], timeout: float | None = None) -> int:
        """Adds queries, which replace those of the same label. Returns the vocabulary's new version.

        It reads the queries and sets them: a change that another client makes in between is undone.
        """
        return self.start.also_ask(queries, timeout).result()

    def add_exemplar(
        self,
        label: str,
        box: Box | None = None,
        point: tuple[float, float] | None = None,
        image: RgbImage | None = None,
        timeout: float | None = None,
        negative: bool = False,
    ) -> Vectors:
        """Adds an exemplar to a query.

        Args:
            box: x0, y0, x1, y1 in pixels of the newest frame, or of ``image``.
            point: x, y in pixels of the newest frame.
            image: (H, W, 3) uint8 RGB.
            negative: the thing is not what the query, which must be there, looks for.

        Returns:
            The vector that was added, one row.
        """
        return self.start.add_exemplar(label, box, point, image, timeout, negative).result()

    # The map.

    def find(self, text: str, **filters: Any) -> MapFinding:
        """Where something is in the map, in words: ``map.find``, which documents the filters."""
        return self.map.find(text, **filters)

    def look_for(self, text: str, **options: Any) -> MapThing:
        """Waits until the map has something, in words: ``map.look_for``, which documents the options."""
        return self.map.look_for(text, **options)

    def approach(
        self, thing: MapThing | str, distance: float = 0.0, timeout: float | None = None
    ) -> ApproachPose:
        """A pose from which the robot faces a thing of the map: ``map.approach``."""
        return self.map.approach(thing, distance, timeout)

    # Text and images.

    def embed_text(self, texts: Sequence[str], timeout: float | None = None) -> Vectors:
        """One unit vector for each text, in the space of ``latest_features(semantic=True)``."""
        return self.start.embed_text(texts, timeout).result()

    def similarity(
        self,
        point: tuple[float, float] | None = None,
        text: str | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> Heatmap:
        """Similarity of each pixel of the newest frame to one of its points or to a text (cosine), or the
        probability of a label of the vocabulary.
        """
        return self.start.similarity(point, text, label, timeout).result()

    def classify(
        self,
        labels: Sequence[str],
        image: RgbImage | None = None,
        templates: Sequence[str] = (),
        timeout: float | None = None,
    ) -> Classification:
        """Zero-shot classification of a whole image.

        Args:
            image: (H, W, 3) uint8 RGB; the newest frame if None.
            templates: Sentences with {} for the label; empty for the model's own.
        """
        return self.start.classify(labels, image, templates, timeout).result()

    def text_scores(
        self, texts: Sequence[str], image: RgbImage | None = None, timeout: float | None = None
    ) -> TextScores:
        """Cosine and CLIP score of each text with a whole image."""
        return self.start.text_scores(texts, image, timeout).result()

    def wait_until_seen(
        self, label: str, timeout: float | None = None, minimum: float = 0.0, *, ask: bool = True
    ) -> Sighting:
        """The first detection of a label that is published from now on.

        Args:
            minimum: Lowest probability.
            ask: Add the label to the vocabulary if it is not there (``also_ask``); it stays there.
        """
        return self.start.wait_until_seen(label, timeout, minimum, ask=ask).result()
