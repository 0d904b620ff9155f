"""The methods of PerceptionClient without waiting: each returns a future."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from lifecycle_msgs.srv import GetState
from perception_contrast_msgs.srv import (
    AddExemplar,
    Classify,
    EmbedText,
    GetQueries,
    ImageTextSimilarity,
    SetQueries,
    Similarity,
)
from std_msgs.msg import Header

from perception_contrast.client import request_messages as messages
from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.client_errors import NoAnswerError, NodeAbsentError, NodeNotActiveError
from perception_contrast.client.futures import ClientFuture, chain_future, map_future
from perception_contrast.client.node_topics import NodeTopics
from perception_contrast.client.result_types import (
    Detections,
    Features,
    Heatmap,
    Masks,
    Sighting,
    Vectors,
    channel_array,
)
from perception_contrast.client.service_calls import ServiceCaller
from perception_contrast.client.target import Target
from perception_contrast.client.topic_subscription import Predicate, TopicSubscription
from perception_contrast.core.vocabulary import Query
from perception_contrast.ros.messages.query_messages import query_message
from perception_contrast.text.zero_shot import Classification
from perception_contrast.text.zero_shot import ImageTextSimilarity as TextScores

STATE_TIMEOUT = 1.0


class _NoMessage(Exception):
    """A deadline passed; replaced by an error that says why."""


class AsyncRequests:
    """The methods of PerceptionClient, which documents them; each returns a ``ClientFuture`` at once.

    Args:
        timeout: Seconds of a request by default.
    """

    def __init__(
        self, background: BackgroundNode, target: Target, topics: NodeTopics, timeout: float
    ) -> None:
        self._background, self._target, self._topics = background, target, topics
        self._timeout = timeout
        self._caller = ServiceCaller(background, target.node)

    def state(self, timeout: float | None = None) -> ClientFuture[str]:
        service = self._target.service("get_state")
        response = self._call(GetState, service, GetState.Request(), timeout, lambda _: "")
        return map_future(response, lambda one: str(one.current_state.label))

    def set_queries(
        self, queries: Iterable[str | Query], distractors: Sequence[str] = (), timeout: float | None = None
    ) -> ClientFuture[int]:
        parsed = messages.parse_queries(queries)
        return self._set_query_messages(
            [query_message(query, Header()) for query in parsed], distractors, timeout
        )

    def get_queries(self, timeout: float | None = None) -> ClientFuture[tuple[Query, ...]]:
        return map_future(
            self._get_query_set(timeout), lambda one: messages.queries_from_message(one.queries)
        )

    def also_ask(self, queries: Iterable[str | Query], timeout: float | None = None) -> ClientFuture[int]:
        added = messages.parse_queries(queries)
        labels = {query.label for query in added}

        def add(response: Any) -> ClientFuture[int]:
            kept = [one for one in response.queries.queries if one.label not in labels]
            new = [query_message(query, Header()) for query in added]
            return self._set_query_messages([*kept, *new], response.queries.distractors, timeout)

        return chain_future(self._get_query_set(timeout), add, self._failed)

    def add_exemplar(
        self,
        label: str,
        box: messages.Box | None = None,
        point: tuple[float, float] | None = None,
        image: messages.RgbImage | None = None,
        timeout: float | None = None,
        negative: bool = False,
    ) -> ClientFuture[Vectors]:
        request = messages.exemplar_request(label, box, point, image, negative)
        response = self._call(AddExemplar, self._target.of_camera("add_exemplar"), request, timeout)
        return map_future(response, lambda one: messages.vectors_from_embeddings([one.embedding]))

    def embed_text(self, texts: Sequence[str], timeout: float | None = None) -> ClientFuture[Vectors]:
        request = EmbedText.Request(texts=list(texts))
        response = self._call(EmbedText, self._target.service("embed_text"), request, timeout)
        return map_future(response, lambda one: messages.vectors_from_embeddings(one.embeddings))

    def similarity(
        self,
        point: tuple[float, float] | None = None,
        text: str | None = None,
        label: str | None = None,
        timeout: float | None = None,
    ) -> ClientFuture[Heatmap]:
        request = messages.similarity_request(point, text, label)
        response = self._call(Similarity, self._target.of_camera("similarity"), request, timeout)
        return map_future(
            response,
            lambda one: Heatmap(one.heatmap.header, channel_array(one.heatmap, "32FC1", "<f4"), one.space),
        )

    def classify(
        self,
        labels: Sequence[str],
        image: messages.RgbImage | None = None,
        templates: Sequence[str] = (),
        timeout: float | None = None,
    ) -> ClientFuture[Classification]:
        given, optional = tuple(labels), messages.optional_image(image)
        request = Classify.Request(labels=list(given), templates=list(templates), image=optional)

        def classification(one: Any) -> Classification:
            probabilities, cosines = (np.array(row, np.float32) for row in (one.probabilities, one.cosines))
            return Classification(given, probabilities, cosines, bool(one.independent), one.space)

        response = self._call(Classify, self._target.of_camera("classify"), request, timeout)
        return map_future(response, classification)

    def text_scores(
        self, texts: Sequence[str], image: messages.RgbImage | None = None, timeout: float | None = None
    ) -> ClientFuture[TextScores]:
        given = tuple(texts)
        request = ImageTextSimilarity.Request(texts=list(given), image=messages.optional_image(image))
        service = self._target.of_camera("image_text_similarity")
        return map_future(
            self._call(ImageTextSimilarity, service, request, timeout),
            lambda one: TextScores(given, np.array(one.cosines, np.float32), one.space),
        )

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
            self._failed,
        )

    def wait_until_seen(
        self, label: str, timeout: float | None = None, minimum: float = 0.0, *, ask: bool = True
    ) -> ClientFuture[Sighting]:
        seconds = self._timeout if timeout is None else timeout
        end = time.monotonic() + seconds
        searched = 0

        def sighting(one: Detections) -> Sighting | None:
            nonlocal searched
            searched += 1
            best = one.best(label, minimum)
            return None if best is None else Sighting(one.header, best)

        def not_seen() -> Exception | None:
            if not searched:
                return None
            return NoAnswerError(f"'{label}' was not seen within {seconds:g} s, in {searched} images")

        def wait(_: object) -> ClientFuture[Sighting]:
            left = max(end - time.monotonic(), 0.0)
            return self._message(self._topics.detections, left, sighting, not_seen)

        def add_label(response: Any) -> ClientFuture[Sighting]:
            if any(one.label == label for one in response.queries.queries):
                return wait(None)
            return chain_future(self.also_ask([Query(label)], seconds), wait, self._failed)

        if not ask:
            return wait(None)
        return chain_future(self._get_query_set(seconds), add_label, self._failed)

    def no_message_error(
        self, subscription: TopicSubscription, timeout: float, state: str | None
    ) -> Exception:
        """Why no message came on a topic. state: of the node's lifecycle, None if it does not respond."""
        topic = subscription.topic
        if state is None and not subscription.publishers():
            there = ", ".join(self._caller.nodes()) or "none"
            return NodeAbsentError(
                f"nobody publishes on {topic}; perception nodes that are there: {there}. Start "
                "perception_node, or give its name as target, and check ROS_DOMAIN_ID"
            )
        if state not in (None, "active"):
            return NodeNotActiveError(
                f"no message on {topic} within {timeout:g} s: the node is {state}, not active; "
                f"wait for it or use `ros2 lifecycle set {self._target.node}`"
            )
        return NoAnswerError(
            f"no message on {topic} within {timeout:g} s though its node is there; does its camera "
            "send? /diagnostics says why nothing is published"
        )

    def _message(
        self,
        subscription: TopicSubscription,
        timeout: float | None,
        predicate: Predicate = lambda message: message,
        timeout_error: Callable[[], Exception | None] = lambda: None,
        *,
        newest: bool = False,
    ) -> ClientFuture[Any]:
        """What ``predicate`` makes of a message, or an error that says why there is none.

        timeout_error: makes a more specific error at the deadline, or None.
        """
        seconds = self._timeout if timeout is None else timeout
        future = subscription.wait(predicate, seconds, _NoMessage, newest=newest)

        def explain(error: Exception) -> ClientFuture[Any]:
            if not isinstance(error, _NoMessage):
                return self._failed(error)
            if specific := timeout_error():
                return self._failed(specific)
            return chain_future(
                self.state(STATE_TIMEOUT),
                lambda state: self._failed(self.no_message_error(subscription, seconds, state)),
                lambda _: self._failed(self.no_message_error(subscription, seconds, None)),
            )

        return chain_future(future, self._done, explain)

    def _get_query_set(self, timeout: float | None) -> ClientFuture[Any]:
        return self._call(GetQueries, self._target.service("get_queries"), GetQueries.Request(), timeout)

    def _set_query_messages(
        self, queries: list[Any], distractors: Iterable[str], timeout: float | None
    ) -> ClientFuture[int]:
        request = SetQueries.Request(distractors=list(distractors))
        request.queries = queries
        response = self._call(SetQueries, self._target.service("set_queries"), request, timeout)
        return map_future(response, lambda one: int(one.version))

    def _call(
        self,
        kind: Any,
        service: str,
        request: Any,
        timeout: float | None,
        refusal: Callable[[Any], str] | None = None,
    ) -> ClientFuture[Any]:
        seconds = self._timeout if timeout is None else timeout
        return self._caller.call(kind, service, request, seconds, refusal)

    def _failed(self, error: Exception) -> ClientFuture[Any]:
        """A future that is done, with an error."""
        future = self._new_future()
        future.try_set_exception(error)
        return future

    def _done(self, value: Any) -> ClientFuture[Any]:
        """A future that is done, with a result."""
        future = self._new_future()
        future.try_set_result(value)
        return future

    def _new_future(self) -> ClientFuture[Any]:
        return ClientFuture(lambda: self._background.thread, time.monotonic())
