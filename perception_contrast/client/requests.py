"""Everything that can be asked of a node, started and not waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from lifecycle_msgs.srv import GetState
from perception_contrast_msgs.msg import FeatureMap
from perception_contrast_msgs.srv import (
    AddExemplar,
    Classify,
    EmbedText,
    GetQueries,
    ImageTextSimilarity,
    SetQueries,
    Similarity,
)
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from perception_contrast.client import request_messages as messages
from perception_contrast.client.background_node import Background
from perception_contrast.client.client_errors import NoAnswerError, NodeAbsentError, NodeNotActiveError
from perception_contrast.client.futures import Answer, followed_by, then
from perception_contrast.client.result_types import (
    Detections,
    Features,
    Heatmap,
    Masks,
    Sighting,
    Vectors,
    detections,
    features,
    plane,
)
from perception_contrast.client.service_calls import Calls
from perception_contrast.client.topic_feeds import Feed, Predicate
from perception_contrast.core.arrays import FloatBox, RgbImage
from perception_contrast.core.vocabulary import Query
from perception_contrast.ros.messages.query_messages import query_message
from perception_contrast.ros.qos import latched
from perception_contrast.text.zero_shot import Classification
from perception_contrast.text.zero_shot import ImageTextSimilarity as TextScores

Value = TypeVar("Value")
STATE_TIMEOUT = 1.0


class _Silence(Exception):
    """A feed's deadline passed; becomes a NoAnswerError that says why."""


@dataclass(frozen=True)
class Names:
    """target: full name of the node. camera: its name where the node has several, else ""."""

    target: str
    camera: str
    linger: float

    def topic(self, name: str) -> str:
        return f"{self.target}/{self.of_frame(name)}"

    def of_frame(self, service: str) -> str:
        """A service that looks at a frame is there once for each camera."""
        return f"{self.camera}/{service}" if self.camera else service


class Requests:
    """The same methods as PerceptionClient, which says what they mean; each gives an ``Answer`` at once."""

    def __init__(self, background: Background, names: Names, timeout: float) -> None:
        self._background, self._names, self._timeout = background, names, timeout
        self._calls = Calls(background, names.target)
        self._labels: dict[int, str] = {}
        self._skipped = 0
        self.detections = self._feed(Detection2DArray, names.topic("detections"), detections)
        self.features = self._feed(FeatureMap, names.topic("features"), features)
        self.semantic = self._feed(FeatureMap, names.topic("semantic_features"), features)
        self.masks = self._feed(Image, names.topic("masks"), self._masks)
        # Of the whole node, for all cameras.
        self._names_feed = Feed(
            background,
            LabelInfo,
            f"{names.target}/label_info",
            self._learn,
            self._bad,
            names.linger,
            latched(),
        )

    @property
    def skipped(self) -> int:
        """Messages that could not be read."""
        return self._skipped

    def state(self, timeout: float | None = None) -> Answer[str]:
        request = GetState.Request()
        return then(
            self._call(GetState, "get_state", request, timeout, lambda _: ""),
            lambda response: str(response.current_state.label),
        )

    def set_queries(
        self, queries: Iterable[str | Query], distractors: Sequence[str] = (), timeout: float | None = None
    ) -> Answer[int]:
        request = SetQueries.Request(distractors=list(distractors))
        request.queries = [query_message(one, Header()) for one in messages.queries_of(queries)]
        return then(self._call(SetQueries, "set_queries", request, timeout), lambda one: int(one.version))

    def get_queries(self, timeout: float | None = None) -> Answer[tuple[Query, ...]]:
        answer = self._call(GetQueries, "get_queries", GetQueries.Request(), timeout)
        return then(answer, lambda response: messages.queries_in(response.queries))

    def also_ask(self, queries: Iterable[str | Query], timeout: float | None = None) -> Answer[int]:
        wanted = messages.queries_of(queries)
        labels = {one.label for one in wanted}
        set_timeout = self._timeout if timeout is None else timeout

        def add(response: Any) -> Answer[int]:
            others = [one for one in response.queries.queries if one.label not in labels]
            request = SetQueries.Request(distractors=list(response.queries.distractors))
            request.queries = [*others, *(query_message(one, Header()) for one in wanted)]
            answer = self._call(SetQueries, "set_queries", request, set_timeout)
            return then(answer, lambda one: int(one.version))

        asked = self._call(GetQueries, "get_queries", GetQueries.Request(), timeout)
        return followed_by(asked, add, self._failed)

    def add_exemplar(
        self,
        label: str,
        box: FloatBox | None = None,
        point: tuple[float, float] | None = None,
        image: RgbImage | None = None,
        timeout: float | None = None,
    ) -> Answer[Vectors]:
        request = messages.exemplar_request(label, box, point, image)
        answer = self._call(AddExemplar, self._names.of_frame("add_exemplar"), request, timeout)
        return then(answer, lambda response: messages.vectors_of([response.embedding]))

    def embed_text(self, texts: Sequence[str], timeout: float | None = None) -> Answer[Vectors]:
        answer = self._call(EmbedText, "embed_text", EmbedText.Request(texts=list(texts)), timeout)
        return then(answer, lambda response: messages.vectors_of(response.embeddings))

    def similarity(
        self,
        point: tuple[float, float] | None = None,
        text: str | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> Answer[Heatmap]:
        request = messages.similarity_request(point, text, label)

        def heatmap(response: Any) -> Heatmap:
            image = response.heatmap
            return Heatmap(image.header, plane(image, "32FC1", "<f4"), response.space)

        return then(self._call(Similarity, self._names.of_frame("similarity"), request, timeout), heatmap)

    def classify(
        self,
        labels: Sequence[str],
        image: RgbImage | None = None,
        templates: Sequence[str] = (),
        timeout: float | None = None,
    ) -> Answer[Classification]:
        given = tuple(labels)
        request = Classify.Request(
            labels=list(given), templates=list(templates), image=messages.image_of(image)
        )

        def classification(one: Any) -> Classification:
            probabilities, cosines = (np.array(row, np.float32) for row in (one.probabilities, one.cosines))
            return Classification(given, probabilities, cosines, bool(one.independent), one.space)

        return then(self._call(Classify, self._names.of_frame("classify"), request, timeout), classification)

    def text_scores(
        self, texts: Sequence[str], image: RgbImage | None = None, timeout: float | None = None
    ) -> Answer[TextScores]:
        given = tuple(texts)
        request = ImageTextSimilarity.Request(texts=list(given), image=messages.image_of(image))
        return then(
            self._call(ImageTextSimilarity, self._names.of_frame("image_text_similarity"), request, timeout),
            lambda one: TextScores(given, np.array(one.cosines, np.float32), one.space),
        )

    def next_detections(self, timeout: float | None = None) -> Answer[Detections]:
        return self.message(self.detections, _anything, timeout)

    def latest_detections(self, timeout: float | None = None) -> Answer[Detections]:
        return self.message(self.detections, _anything, timeout, newest=True)

    def latest_features(self, timeout: float | None = None, *, semantic: bool = False) -> Answer[Features]:
        feed = self.semantic if semantic else self.features
        return self.message(feed, _anything, timeout, newest=True)

    def latest_masks(self, timeout: float | None = None) -> Answer[Masks]:
        # The names are latched: they come before, or with, the first mask.
        names = self.message(self._names_feed, _anything, timeout, newest=True)
        return followed_by(
            names, lambda _: self.message(self.masks, _anything, timeout, newest=True), self._failed
        )

    def wait_until_seen(
        self, label: str, timeout: float | None = None, minimum: float = 0.0, *, ask: bool = True
    ) -> Answer[Sighting]:
        within = self._timeout if timeout is None else timeout
        end = time.monotonic() + within
        searched = 0

        def seen(one: Detections) -> Sighting | None:
            nonlocal searched
            searched += 1
            best = one.best(label, minimum)
            return None if best is None else Sighting(one.header, best)

        def wait(_: object) -> Answer[Sighting]:
            return self.message(self.detections, seen, max(end - time.monotonic(), 0.0), missing)

        def missing() -> Exception | None:
            if not searched:
                return None
            return NoAnswerError(f"'{label}' was not seen within {within:g} s, in {searched} images")

        if not ask:
            return wait(None)
        asked = self._call(GetQueries, "get_queries", GetQueries.Request(), within)

        def ask_for(response: Any) -> Answer[Any]:
            if any(one.label == label for one in response.queries.queries):
                return wait(None)
            return followed_by(self.also_ask([Query(label)], within), wait, self._failed)

        return followed_by(asked, ask_for, self._failed)

    # Shared by them.

    def message(
        self,
        feed: Feed,
        predicate: Predicate,
        timeout: float | None,
        missing: Callable[[], Exception | None] = lambda: None,
        *,
        newest: bool = False,
    ) -> Answer[Any]:
        """What ``predicate`` makes of a message, or an error that says why there is none."""
        within = self._timeout if timeout is None else timeout
        answer = feed.wait(predicate, within, _Silence, newest=newest)

        def explain(error: Exception) -> Answer[Any]:
            if not isinstance(error, _Silence):
                return self._failed(error)
            if known := missing():
                return self._failed(known)
            return followed_by(
                self.state(STATE_TIMEOUT),
                lambda state: self._failed(self.silence(feed, within, state)),
                lambda _: self._failed(self.silence(feed, within, None)),
            )

        return followed_by(answer, self._settled, explain)

    def silence(self, feed: Feed, timeout: float, state: str | None) -> Exception:
        """Why nothing came on a feed. state: of the node's lifecycle, None if it does not answer."""
        if state is None and not feed.publishers():
            there = ", ".join(self._calls.nodes()) or "none"
            return NodeAbsentError(
                f"nobody publishes on {feed.topic}; perception nodes that are there: {there}. Start "
                "perception_node, or give its name as target, and check ROS_DOMAIN_ID"
            )
        if state not in (None, "active"):
            return NodeNotActiveError(
                f"no message on {feed.topic} within {timeout:g} s: the node is {state}, not active; "
                f"wait for it or use `ros2 lifecycle set {self._names.target}`"
            )
        return NoAnswerError(
            f"no message on {feed.topic} within {timeout:g} s though its node is there; does its camera "
            "send? /diagnostics says why nothing is published"
        )

    def _call(
        self,
        kind: Any,
        name: str,
        request: Any,
        timeout: float | None,
        refusal: Callable[[Any], str] | None = None,
    ) -> Answer[Any]:
        within = self._timeout if timeout is None else timeout
        return self._calls.start(kind, f"{self._names.target}/{name}", request, within, refusal)

    def _failed(self, error: Exception) -> Answer[Any]:
        answer = self._settled(None, settle=False)
        answer.fail(error)
        return answer

    def _settled(self, value: Any, *, settle: bool = True) -> Answer[Any]:
        answer: Answer[Any] = Answer(lambda: self._background.thread, time.monotonic())
        if settle:
            answer.settle(value)
        return answer

    def _feed(self, kind: Any, topic: str, convert: Callable[[Any], Any]) -> Feed:
        return Feed(self._background, kind, topic, convert, self._bad, self._names.linger)

    def _learn(self, message: Any) -> dict[int, str]:
        # Ids stay with their labels for as long as a node lives: names of earlier ones are kept.
        self._labels = self._labels | {int(one.class_id): one.class_name for one in message.class_map}
        return self._labels

    def _masks(self, message: Any) -> Masks:
        return Masks(message.header, plane(message, "mono16", "<u2"), self._labels)

    def _bad(self, topic: str, error: Exception) -> None:
        self._skipped += 1
        if self._skipped == 1 or self._skipped % 100 == 0:
            self._background.node.get_logger().warning(
                f"a message on {topic} was skipped ({self._skipped} so far): {error}"
            )


def _anything(message: Any) -> Any:
    return message
