"""PerceptionClient: requests to perception_node from a Python program."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rclpy.node import Node

from perception_contrast.client.async_requests import STATE_TIMEOUT, AsyncRequests
from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.client_errors import (
    ClientError,
    NoAnswerError,
    NodeAbsentError,
    NodeNotActiveError,
)
from perception_contrast.client.node_topics import NodeTopics
from perception_contrast.client.request_messages import Box, RgbImage
from perception_contrast.client.result_types import Detections, Features, Heatmap, Masks, Sighting, Vectors
from perception_contrast.client.streams import Stream
from perception_contrast.client.target import Target
from perception_contrast.client.topic_subscription import TopicSubscription
from perception_contrast.core.vocabulary import Query
from perception_contrast.text.zero_shot import Classification
from perception_contrast.text.zero_shot import ImageTextSimilarity as TextScores

POLL_SECONDS = 0.1


class PerceptionClient:
    """Sends requests to one perception_node, from a script or from a node; a context manager.

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
        timeout: float = 10.0,
        linger: float = 3.0,
        args: Sequence[str] | None = None,
    ) -> None:
        self._background = BackgroundNode(node, args)
        self.target = self._background.full_name(target)
        at = Target(self.target, camera)
        self._topics = NodeTopics(self._background, at, linger)
        self.start = AsyncRequests(self._background, at, self._topics, timeout)

    def close(self) -> None:
        """Ends the client's thread and subscriptions; calls that still wait raise ClosedError."""
        self._background.close()

    def __enter__(self) -> PerceptionClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def skipped(self) -> int:
        """Number of messages that could not be read and were left out."""
        return self._topics.skipped

    # The node.

    def state(self, timeout: float | None = None) -> str:
        """Lifecycle state: unconfigured, inactive, active, finalized, or one of the transitions between."""
        return self.start.state(timeout).result()

    def wait_until_active(self, timeout: float = 120.0) -> None:
        """Returns once the node is there and has loaded its models.

        Raises NodeNotActiveError, NodeAbsentError.
        """
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            try:
                state = self.state(max(min(left, STATE_TIMEOUT), POLL_SECONDS))
            except (NodeAbsentError, NoAnswerError):
                if left <= 0.0:
                    raise
                continue
            if state == "active":
                return
            if left <= 0.0:
                raise NodeNotActiveError(
                    f"{self.target} is still {state} after {timeout:g} s; /diagnostics says what it does"
                )
            time.sleep(min(POLL_SECONDS, left))

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

    # Topics of the node.

    def wait_until_seen(
        self, label: str, timeout: float | None = None, minimum: float = 0.0, *, ask: bool = True
    ) -> Sighting:
        """The first detection of a label that is published from now on.

        Args:
            minimum: Lowest probability.
            ask: Add the label to the vocabulary if it is not there (``also_ask``); it stays there.
        """
        return self.start.wait_until_seen(label, timeout, minimum, ask=ask).result()

    def next_detections(self, timeout: float | None = None) -> Detections:
        """The first detections that come after the call."""
        return self.start.next_detections(timeout).result()

    def latest_detections(self, timeout: float | None = None) -> Detections:
        """The newest detections; the next ones if none came while subscribed."""
        return self.start.latest_detections(timeout).result()

    def latest_features(self, timeout: float | None = None, *, semantic: bool = False) -> Features:
        """The newest features, in the same way; ``values`` is (h, w, c), a view on the message.

        semantic: those that text is compared with.
        """
        return self.start.latest_features(timeout, semantic=semantic).result()

    def latest_masks(self, timeout: float | None = None) -> Masks:
        """The newest masks, in the same way, with the names of their ids."""
        return self.start.latest_masks(timeout).result()

    def detections(self, timeout: float | None = None) -> Stream[Detections]:
        """An iterator over detections; timeout: seconds without a message after which it raises."""
        return self._stream(self._topics.detections, timeout)

    def features(self, timeout: float | None = None, *, semantic: bool = False) -> Stream[Features]:
        """An iterator over features."""
        return self._stream(self._topics.semantic_features if semantic else self._topics.features, timeout)

    def on_detections(self, callback: Callable[[Detections], Any]) -> Callable[[], None]:
        """Calls back with detections, in the client's thread. Returns a function that ends it."""
        topic = self._topics.detections
        topic.add_listener(callback, lambda: None)
        return lambda: topic.remove_listener(callback)

    def _stream(self, subscription: TopicSubscription, timeout: float | None) -> Stream[Any]:
        def timeout_error() -> Exception:
            try:
                state: str | None = self.state(STATE_TIMEOUT)
            except ClientError:
                state = None
            return self.start.no_message_error(subscription, timeout or 0.0, state)

        return Stream(subscription, timeout, timeout_error)
