"""The methods of PerceptionClient without waiting: each returns a future."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
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
from perception_contrast.client.async_results import AsyncResults
from perception_contrast.client.client_errors import NoAnswerError
from perception_contrast.client.futures import ClientFuture, chain_future, map_future
from perception_contrast.client.result_types import (
    Detections,
    Heatmap,
    Sighting,
    Vectors,
)
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.ros.messages.image_messages import channel_array
from perception_contrast.ros.messages.query_messages import query_message
from perception_contrast.text.zero_shot import Classification
from perception_contrast.text.zero_shot import ImageTextSimilarity as TextScores


class AsyncRequests(AsyncResults):
    """The methods of PerceptionClient, which documents them; each returns a ``ClientFuture`` at once."""

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

    def get_vocabulary(self, timeout: float | None = None) -> ClientFuture[Vocabulary]:
        return map_future(
            self._get_query_set(timeout),
            lambda one: Vocabulary(
                messages.queries_from_message(one.queries),
                tuple(one.queries.distractors),
                int(one.queries.version),
            ),
        )

    def also_ask(self, queries: Iterable[str | Query], timeout: float | None = None) -> ClientFuture[int]:
        added = messages.parse_queries(queries)
        labels = {query.label for query in added}

        def add(response: Any) -> ClientFuture[int]:
            kept = [one for one in response.queries.queries if one.label not in labels]
            new = [query_message(query, Header()) for query in added]
            return self._set_query_messages([*kept, *new], response.queries.distractors, timeout)

        return chain_future(self._get_query_set(timeout), add)

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
            return chain_future(self.also_ask([Query(label)], seconds), wait)

        if not ask:
            return wait(None)
        return chain_future(self._get_query_set(seconds), add_label)

    def _get_query_set(self, timeout: float | None) -> ClientFuture[Any]:
        return self._call(GetQueries, self._target.service("get_queries"), GetQueries.Request(), timeout)

    def _set_query_messages(
        self, queries: list[Any], distractors: Iterable[str], timeout: float | None
    ) -> ClientFuture[int]:
        request = SetQueries.Request(distractors=list(distractors))
        request.queries = queries
        response = self._call(SetQueries, self._target.service("set_queries"), request, timeout)
        return map_future(response, lambda one: int(one.version))
