"""The services of perception_node. A refused request changes nothing and says why."""

from __future__ import annotations

import array
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from perception_contrast_msgs.srv import (
    AddExemplar,
    Classify,
    EmbedText,
    GetQueries,
    ImageTextSimilarity,
    SetQueries,
    Similarity,
)
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from perception_contrast.core.errors import PerceptionError, QueryError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import MAX_QUERIES
from perception_contrast.ros.camera.camera_input import Received
from perception_contrast.ros.messages.detection_messages import embedding_message
from perception_contrast.ros.messages.image_messages import frame_from, header_of, image_message
from perception_contrast.ros.messages.query_messages import query_from, query_set_message

if TYPE_CHECKING:
    from perception_contrast.pipeline.pipeline import Pipeline


Newest = Callable[[], Received]


class NotActiveError(PerceptionError):
    """A service was called before the node is active."""


class Host(Protocol):
    """What the services need of their node (and what a test can stand in for)."""

    def pipeline(self) -> Pipeline:
        """The pipeline in use; NotActiveError while there is none."""

    def latest(self, camera: str) -> Received:
        """The newest frame of a camera, waited for if need be; QueryError where none comes."""

    def announce(self) -> None:
        """Called after each change of the vocabulary."""

    def refused(self, reason: str) -> None:
        """Called with why a change of the vocabulary was refused."""


class Services:
    """Creates the services, each in a callback group of its own so that none waits for another.

    cameras: names, ("",) for one of no name. What needs a frame is there once for each camera, as
    ``~/front/similarity``, and without a camera's name for requests that bring their image.
    """

    def __init__(self, node: Node, host: Host, cameras: Sequence[str] = ("",)) -> None:
        self._node, self._host, self._cameras = node, host, tuple(cameras)
        self._create(SetQueries, "set_queries", self._set_queries)
        self._create(GetQueries, "get_queries", self._get_queries)
        self._create(EmbedText, "embed_text", self._embed_text)
        for camera in dict.fromkeys((*self._cameras, "")):
            prefix = f"{camera}/" if camera else ""
            for kind, name, handler in (
                (AddExemplar, "add_exemplar", self._add_exemplar),
                (Similarity, "similarity", self._similarity),
                (Classify, "classify", self._classify),
                (ImageTextSimilarity, "image_text_similarity", self._image_text_similarity),
            ):
                self._create(kind, prefix + name, handler, partial(self._newest, camera, name))

    def _create(self, kind: type, name: str, handler: Callable[..., None], *more: Any) -> None:
        group = MutuallyExclusiveCallbackGroup()
        self._node.create_service(kind, f"~/{name}", self._answering(handler, *more), callback_group=group)

    def _newest(self, camera: str, service: str) -> Received:
        if camera in self._cameras:
            return self._host.latest(camera)
        names = ", ".join(f"~/{name}/{service}" for name in self._cameras)
        raise QueryError(f"say which camera: call {names}, or send an image")

    def _answering(self, handler: Callable[..., None], *more: Any) -> Callable[[Any, Any], Any]:
        """Turns errors into success=False with their message, so that none reaches the executor."""

        def answer(request: Any, response: Any) -> Any:
            pipeline = None
            try:
                pipeline = self._host.pipeline()
                handler(pipeline, request, response, *more)
                response.success = True
            except PerceptionError as error:
                if pipeline is not None and handler in (self._set_queries, self._add_exemplar):
                    self._host.refused(str(error))
                response = type(response)(success=False, message=str(error))
            except Exception as error:
                self._node.get_logger().error(f"service {handler.__name__[1:]} failed: {error!r}")
                response = type(response)(success=False, message=f"internal error: {error!r}")
            if pipeline is not None and hasattr(response, "version"):
                response.version = pipeline.vocabulary.version
            return response

        return answer

    def _now(self) -> Header:
        return Header(stamp=self._node.get_clock().now().to_msg())

    def _set_queries(self, pipeline: Pipeline, request: Any, response: Any) -> None:
        known = [one for query in pipeline.vocabulary.queries for one in query.exemplars]
        space = pipeline.query_encoder.exemplar_space
        queries = [query_from(message, space, known) for message in request.queries]
        vocabulary = pipeline.set_queries(queries, tuple(request.distractors))
        self._host.announce()
        labels = ", ".join(query.label for query in vocabulary.queries) or "nothing"
        response.message = f"looking for {labels}"

    def _get_queries(self, pipeline: Pipeline, request: Any, response: Any) -> None:
        response.queries = query_set_message(pipeline.vocabulary, self._now())
        response.message = f"{len(response.queries.queries)} queries"

    def _add_exemplar(self, pipeline: Pipeline, request: Any, response: Any, newest: Newest) -> None:
        if request.kind == AddExemplar.Request.IMAGE:
            frame = frame_from(request.image)
            has_box = request.box.width > 0 or request.box.height > 0
            where = {"box": _box(request.box, frame)} if has_box else {}
        elif request.kind == AddExemplar.Request.BOX:
            frame = newest().frame
            where = {"box": _box(request.box, frame)}
        elif request.kind == AddExemplar.Request.POINT:
            frame = newest().frame
            where = {"point": _point(request.point, frame)}
        else:
            raise QueryError(f"kind {request.kind} is unknown; 0 is BOX, 1 POINT, 2 IMAGE")
        _, exemplar = pipeline.add_exemplar(request.label, frame, **where)
        self._host.announce()
        model = exemplar.space.partition("@")[0]
        response.embedding = embedding_message(exemplar.vector, model, exemplar.space, header_of(frame))
        response.message = f"'{request.label}' has one more exemplar"

    def _embed_text(self, pipeline: Pipeline, request: Any, response: Any) -> None:
        if not 0 < len(request.texts) <= MAX_QUERIES:
            raise QueryError(f"{len(request.texts)} texts; give 1 to {MAX_QUERIES}")
        header, encoder = self._now(), pipeline.query_encoder
        vectors, model, space = (
            encoder.embed_texts(tuple(request.texts)),
            encoder.text_model,
            encoder.text_space,
        )
        response.embeddings = [embedding_message(one, model, space, header) for one in vectors]
        response.message = f"{len(response.embeddings)} embeddings"

    def _similarity(self, pipeline: Pipeline, request: Any, response: Any, newest: Newest) -> None:
        received = newest()
        if request.kind == Similarity.Request.POINT:
            found = pipeline.similarity(received.frame, point=_point(request.point, received.frame))
        elif request.kind == Similarity.Request.TEXT:
            found = pipeline.similarity(received.frame, text=request.text)
        elif request.kind == Similarity.Request.LABEL:
            found = pipeline.similarity(received.frame, label=request.text)
        else:
            raise QueryError(f"kind {request.kind} is unknown; 0 is POINT, 1 TEXT, 2 LABEL")
        response.space = found.space
        response.heatmap = image_message(found.values, received.header)
        response.message = "probability" if request.kind == Similarity.Request.LABEL else "cosine similarity"

    def _classify(self, pipeline: Pipeline, request: Any, response: Any, newest: Newest) -> None:
        templates = tuple(request.templates) or None
        found = pipeline.classify(_shown(request.image, newest), tuple(request.labels), templates=templates)
        response.model, response.space = pipeline.query_encoder.text_model, found.space
        response.probabilities, response.cosines = _floats(found.probabilities), _floats(found.cosines)
        response.independent = found.independent
        best = int(found.probabilities.argmax())
        response.message = f"most likely '{found.labels[best]}', {found.probabilities[best]:.2f}"

    def _image_text_similarity(self, pipeline: Pipeline, request: Any, response: Any, newest: Newest) -> None:
        found = pipeline.image_text_similarity(_shown(request.image, newest), tuple(request.texts))
        response.model, response.space = pipeline.query_encoder.text_model, found.space
        response.cosines, response.clip_scores = _floats(found.cosines), _floats(found.clip_scores)
        response.message = f"{len(found.texts)} texts compared"


def _shown(image: Image, newest: Newest) -> Frame:
    """The image of a request, or the newest frame where it has none. Raises FrameError, QueryError."""
    has_one = image.width or image.height or len(image.data)
    return frame_from(image) if has_one else newest().frame


def _floats(values: NDArray[np.float32]) -> array.array[float]:
    return array.array("f", values.tobytes())


def _point(point: Any, frame: Frame) -> tuple[float, float]:
    height, width = frame.size
    x, y = float(point.x), float(point.y)
    # Pixel centres lie at integers: the image spans half a pixel beyond the outermost centres.
    inside = -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5
    if not (math.isfinite(x) and math.isfinite(y) and inside):
        raise QueryError(f"point ({x:g}, {y:g}) is outside the image of {width}x{height} pixels")
    return x, y


def _box(box: Any, frame: Frame) -> tuple[int, int, int, int]:
    height, width = frame.size
    x0, y0 = int(box.x_offset), int(box.y_offset)
    x1, y1 = x0 + int(box.width), y0 + int(box.height)
    if box.width == 0 or box.height == 0:
        raise QueryError("the box is empty; give it a width and a height in pixels")
    if x1 > width or y1 > height:
        raise QueryError(f"box x {x0}..{x1}, y {y0}..{y1} leaves the image of {width}x{height} pixels")
    return x0, y0, x1, y1
