"""PerceptionClient: what a program asks perception_node for, and waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rclpy.node import Node

from perception_contrast.client.background_node import Background
from perception_contrast.client.client_errors import (
    ClientError,
    NoAnswerError,
    NodeAbsentError,
    NodeNotActiveError,
)
from perception_contrast.client.requests import STATE_TIMEOUT, Names, Requests
from perception_contrast.client.result_types import Detections, Features, Heatmap, Masks, Sighting, Vectors
from perception_contrast.client.streams import Stream
from perception_contrast.client.topic_feeds import Feed
from perception_contrast.core.arrays import FloatBox, RgbImage
from perception_contrast.core.vocabulary import Query
from perception_contrast.text.zero_shot import Classification
from perception_contrast.text.zero_shot import ImageTextSimilarity as TextScores

POLL = 0.1


class PerceptionClient:
    """Asks one perception_node for things; for use with ``with``, in a script or in a node.

    Every method waits for its answer, from any thread and in any callback of your own node: a thread of
    the client's own does the work, and whether your node is spun plays no part. ``start`` has the same
    methods without the waiting: they give an Answer, to be awaited or given a callback. Topics are
    subscribed to only while somebody uses them and ``linger`` seconds longer, and the perception node
    computes only what is subscribed to.

    node: the node to work in, whose context, namespace and remappings are used; without one the client has
    a context of its own, made from ``args`` as rclpy.init would. target: name of the perception_node, in the
    node's namespace unless it begins with "/". camera: which one, where it has several. timeout: seconds
    that a method waits for unless it is told otherwise.

    All methods raise NodeAbsentError, NodeNotActiveError, RefusedError or NoAnswerError; every one of them
    is a ClientError and says what to do. In callbacks of the client itself (``on_detections``) a method
    that would wait raises ClosedError.
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
        self._background = Background(node, args)
        full = self._background.full_name(target)
        self._timeout = timeout
        self.start = Requests(self._background, Names(full, camera, linger), timeout)
        self.target = full

    def close(self) -> None:
        """Ends the client's thread and subscriptions; what still waits gets ClosedError."""
        self._background.close()

    def __enter__(self) -> PerceptionClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def skipped(self) -> int:
        """Messages that could not be read and were left out."""
        return self.start.skipped

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
                state = self.state(max(min(left, STATE_TIMEOUT), POLL))
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
            time.sleep(min(POLL, left))

    # What to look for.

    def set_queries(
        self, queries: Iterable[str | Query], distractors: Sequence[str] = (), timeout: float | None = None
    ) -> int:
        """Replaces what is looked for; the vocabulary's version.

        queries: each a label, a line ``label: phrase; phrase; !negative``, or a Query. distractors: things
        that compete with them and are never published.
        """
        return self.start.set_queries(queries, distractors, timeout).result()

    def get_queries(self, timeout: float | None = None) -> tuple[Query, ...]:
        """What is looked for, with its exemplars; it can be set again."""
        return self.start.get_queries(timeout).result()

    def also_ask(self, queries: Iterable[str | Query], timeout: float | None = None) -> int:
        """Adds to what is looked for, taking the place of queries of the same label.

        It reads the queries and sets them: another client that does so at the same moment can be undone.
        """
        return self.start.also_ask(queries, timeout).result()

    def add_exemplar(
        self,
        label: str,
        box: FloatBox | None = None,
        point: tuple[float, float] | None = None,
        image: RgbImage | None = None,
        timeout: float | None = None,
    ) -> Vectors:
        """Shows an example: a box (x0, y0, x1, y1) or a point (x, y) in pixels of the newest frame, or an
        image (H, W, 3) uint8 RGB, with a box of it if need be. The vector that was added, one row.
        """
        return self.start.add_exemplar(label, box, point, image, timeout).result()

    # Answers about words and images.

    def embed_text(self, texts: Sequence[str], timeout: float | None = None) -> Vectors:
        """One unit row a text, comparable with ``latest_features(semantic=True)`` of the same space."""
        return self.start.embed_text(texts, timeout).result()

    def similarity(
        self,
        point: tuple[float, float] | None = None,
        text: str | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> Heatmap:
        """How alike each pixel of the newest frame is to one of its points or to a text (cosine), or how
        likely it shows what a label in force asks for.
        """
        return self.start.similarity(point, text, label, timeout).result()

    def classify(
        self,
        labels: Sequence[str],
        image: RgbImage | None = None,
        templates: Sequence[str] = (),
        timeout: float | None = None,
    ) -> Classification:
        """Which of the labels a whole image shows: ``image`` (H, W, 3) uint8 RGB, or the newest frame.

        templates: sentences with {} for the label; none takes the model's own.
        """
        return self.start.classify(labels, image, templates, timeout).result()

    def text_scores(
        self, texts: Sequence[str], image: RgbImage | None = None, timeout: float | None = None
    ) -> TextScores:
        """Cosine and CLIP score of each text with a whole image."""
        return self.start.text_scores(texts, image, timeout).result()

    # What the node publishes.

    def wait_until_seen(
        self, label: str, timeout: float | None = None, minimum: float = 0.0, *, ask: bool = True
    ) -> Sighting:
        """The first detection of a label with at least this probability that is published from now on.

        ask: adds the label to what is looked for if it is not (``also_ask``); it stays there.
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

        semantic: those that words are compared with.
        """
        return self.start.latest_features(timeout, semantic=semantic).result()

    def latest_masks(self, timeout: float | None = None) -> Masks:
        """The newest masks, in the same way, with the names of their ids."""
        return self.start.latest_masks(timeout).result()

    def detections(self, timeout: float | None = None) -> Stream[Detections]:
        """Detections one after another; timeout: seconds without any after which it raises."""
        return self._stream(self.start.detections, timeout)

    def features(self, timeout: float | None = None, *, semantic: bool = False) -> Stream[Features]:
        """Features one after another."""
        return self._stream(self.start.semantic if semantic else self.start.features, timeout)

    def on_detections(self, callback: Callable[[Detections], Any]) -> Callable[[], None]:
        """Calls back with each detections message, in the client's thread; a function that ends it."""
        feed = self.start.detections
        feed.listen(callback, lambda: None)
        return lambda: feed.release(callback)

    def _stream(self, feed: Feed, timeout: float | None) -> Stream[Any]:
        def why() -> Exception:
            try:
                state: str | None = self.state(STATE_TIMEOUT)
            except ClientError:
                state = None
            return self.start.silence(feed, timeout or 0.0, state)

        return Stream(feed, timeout, why)
