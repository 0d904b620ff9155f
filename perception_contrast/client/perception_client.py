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
    """Sends requests to one perception_node, from a script or from a node of your own; a context manager.

    Every method waits for its result, in any thread and in any callback of your own node. A thread of the
    client does the work, so your node need not be spun. ``start`` has the same methods without waiting: they
    return a ClientFuture, which can be awaited or given a callback. The client subscribes to a topic only
    while it is used and ``linger`` seconds longer, and the perception node computes only outputs that have
    subscribers.

    All methods raise NodeAbsentError, NodeNotActiveError, RefusedError or NoAnswerError, which are
    ClientErrors and give the remedy. In callbacks of the client itself (``on_detections``), a method that
    would wait raises ClosedError.

    Args:
        node: The node to work in, whose context, namespace and remappings are used. Without one, the client
            makes a context of its own from ``args``, as rclpy.init would.
        target: Name of the perception_node, in the node's namespace unless it begins with "/".
        camera: Name of the camera, if the node has several.
        image_topic: Topic of the camera's images; "" for the one that the node's diagnostics name.
        map_target: Name of the map_node, in the same way; for ``find``, ``approach`` and ``map``.
        timeout: Seconds that a method waits by default.
        linger: Seconds that a subscription continues after its last use.
        args: Command line, as of rclpy.init.

    Attributes:
        map: A MapClient for the map_node beside the perception_node.
        parameters: The parameters of the perception_node.
        start: The same methods without waiting.
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

        A client from ``for_camera`` ends only with the client that it came from.
        """
        if self._is_owner:
            self._background.close()

    def __enter__(self) -> PerceptionClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The node.

    def cameras(self, timeout: float | None = None) -> tuple[str, ...]:
        """Asks for the names of the node's cameras.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The names; ``("",)`` for a single camera without a name.
        """
        return tuple(self.parameters.get(["cameras"], timeout)["cameras"])  # type: ignore[arg-type]

    def for_camera(self, name: str, image_topic: str = "") -> PerceptionClient:
        """Makes a client of another camera of the node. It shares thread, node and ``map`` with this one.

        Args:
            name: One of ``cameras()``.
            image_topic: As of PerceptionClient.

        Returns:
            The client of that camera; the same one for the same arguments.
        """
        if (name, image_topic) not in self._of_cameras:
            other = copy.copy(self)
            other._is_owner = False
            other._bind(Target(self.target, name), image_topic)
            self._of_cameras[name, image_topic] = other
        return self._of_cameras[name, image_topic]

    def nodes(self) -> RunningNodes:
        """Lists the running nodes.

        Returns:
            The perception_nodes and map_nodes that this client has discovered so far.
        """
        return running_nodes(self._background.node)

    # The vocabulary.

    def set_queries(
        self, queries: Iterable[str | Query], distractors: Sequence[str] = (), timeout: float | None = None
    ) -> int:
        """Replaces the vocabulary.

        Args:
            queries: Each is a label, a line ``label: phrase; phrase; !negative``, or a Query.
            distractors: Words that compete with the queries and are never published.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The new version of the vocabulary.

        Raises:
            QueryError: A line has no label, or ``queries`` is a single string.
            RefusedError: The node refuses a query or a distractor; the vocabulary stays as it was.
        """
        return self.start.set_queries(queries, distractors, timeout).result()

    def get_queries(self, timeout: float | None = None) -> tuple[Query, ...]:
        """Asks for the active queries.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The queries with their exemplars; ``set_queries`` takes them.
        """
        return self.start.get_queries(timeout).result()

    def get_vocabulary(self, timeout: float | None = None) -> Vocabulary:
        """Asks for the active vocabulary.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The queries with their exemplars, the distractors and the version.
        """
        return self.start.get_vocabulary(timeout).result()

    def also_ask(self, queries: Iterable[str | Query], timeout: float | None = None) -> int:
        """Adds queries; each replaces the query of the same label.

        The call reads the queries and sets them, so it undoes a change that another client makes in between.

        Args:
            queries: As of ``set_queries``.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The new version of the vocabulary.
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

        Give a box or a point of the newest frame, or an image with or without a box.

        Args:
            label: Label of the query; a new query is made if there is none.
            box: x0, y0, x1, y1 in pixels of the newest frame, or of ``image``.
            point: x, y in pixels of the newest frame.
            image: (H, W, 3) uint8 RGB.
            timeout: Seconds to wait; None takes the default of the client.
            negative: The exemplar shows what the label is not; there must be a query of that label.

        Returns:
            The vector that was added, as one row.

        Raises:
            QueryError: The image or the box has the wrong shape or type.
            RefusedError: The node refuses it, for example because the place is not in the image.
        """
        return self.start.add_exemplar(label, box, point, image, timeout, negative).result()

    # The map.

    def find(self, text: str, **filters: Any) -> MapFinding:
        """Asks the map where something is.

        Args:
            text: Words for it.
            **filters: Other arguments of ``map.find``.

        Returns:
            The answer, with the things that match.
        """
        return self.map.find(text, **filters)

    def look_for(self, text: str, **options: Any) -> MapThing:
        """Waits until the map has something.

        Args:
            text: Words for it.
            **options: Other arguments of ``map.look_for``.

        Returns:
            The thing.
        """
        return self.map.look_for(text, **options)

    def approach(
        self, thing: MapThing | str, distance: float = 0.0, timeout: float | None = None
    ) -> ApproachPose:
        """Asks for a pose from which the robot faces a thing of the map.

        Args:
            thing: As ``find`` gave it, or words for one.
            distance: Metres between the robot's centre and the thing's box; 0 takes the node's.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The pose, in the map's frame.

        Raises:
            RefusedError: There is no such pose; the message gives the reason.
        """
        return self.map.approach(thing, distance, timeout)

    # Text and images.

    def embed_text(self, texts: Sequence[str], timeout: float | None = None) -> Vectors:
        """Encodes texts.

        Args:
            texts: Words or sentences.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            One unit vector for each text, in the space of ``latest_features(semantic=True)``.
        """
        return self.start.embed_text(texts, timeout).result()

    def similarity(
        self,
        point: tuple[float, float] | None = None,
        text: str | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> Heatmap:
        """Compares each pixel of the newest frame with a point, a text or a label; give one of the three.

        Args:
            point: x, y in pixels of the newest frame.
            text: Words or a sentence.
            label: Label of a query.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            Cosines with the point or the text, or probabilities of the label.
        """
        return self.start.similarity(point, text, label, timeout).result()

    def classify(
        self,
        labels: Sequence[str],
        image: RgbImage | None = None,
        templates: Sequence[str] = (),
        timeout: float | None = None,
    ) -> Classification:
        """Classifies a whole image (zero-shot).

        Args:
            labels: The classes.
            image: (H, W, 3) uint8 RGB; None takes the newest frame.
            templates: Sentences with {} in the label's place; empty for the model's own.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The probability and cosine of each label.
        """
        return self.start.classify(labels, image, templates, timeout).result()

    def text_scores(
        self, texts: Sequence[str], image: RgbImage | None = None, timeout: float | None = None
    ) -> TextScores:
        """Compares texts with a whole image.

        Args:
            texts: Words or sentences.
            image: (H, W, 3) uint8 RGB; None takes the newest frame.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The cosine and CLIP score of each text.
        """
        return self.start.text_scores(texts, image, timeout).result()

    def wait_until_seen(
        self, label: str, timeout: float | None = None, minimum: float = 0.0, *, ask: bool = True
    ) -> Sighting:
        """Waits for the first detection of a label that is published from now on.

        Args:
            label: The label.
            timeout: Seconds to wait; None takes the default of the client.
            minimum: Lowest probability of the detection.
            ask: Add the label to the vocabulary if it is not there (``also_ask``); it stays there.

        Returns:
            The detection, with the header of its image.

        Raises:
            NoAnswerError: The label was not seen in that time.
        """
        return self.start.wait_until_seen(label, timeout, minimum, ask=ask).result()
