"""The services of perception_node. A refused request changes nothing and says why."""

from __future__ import annotations

import array
import math
from collections.abc import Callable, Mapping
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
from perception_contrast.core.vocabulary import MAX_QUERIES, checked_texts
from perception_contrast.ros.camera.camera_input import ReceivedFrame
from perception_contrast.ros.messages.detection_messages import embedding_message
from perception_contrast.ros.messages.image_messages import frame_from_message, frame_header, image_message
from perception_contrast.ros.messages.query_messages import query_from_message, query_set_message
from perception_contrast.ros.monitoring.statistics import Issues
from perception_contrast.ros.node.active_pipeline import ActivePipeline
from perception_contrast.ros.node.vocabulary_publisher import VocabularyPublisher

if TYPE_CHECKING:
    from perception_contrast.pipeline.pipeline import Pipeline

LatestFrame = Callable[[], ReceivedFrame]


class FrameSource(Protocol):
    """A camera as far as services need it."""

    def wait_for_frame(self) -> ReceivedFrame:
        """The newest frame, waited for if need be. Raises QueryError where none comes."""


class PerceptionServices:
    """Creates the services, each in a callback group of its own so that none waits for another.

    What needs a frame is there once for each camera, as ``~/front/similarity``, and without a camera's name
    for requests that bring their image.

    Args:
        cameras: Name to camera; the name is "" for the only camera of a node.
        publisher: Publishes the vocabulary after each change.
        issues: Refused changes of the vocabulary, kind "vocabulary".
    """

    def __init__(
        self,
        node: Node,
        active: ActivePipeline,
        cameras: Mapping[str, FrameSource],
        publisher: VocabularyPublisher,
        issues: Issues,
    ) -> None:
        self._node, self._active, self._cameras = node, active, cameras
        self._publisher, self._issues = publisher, issues
        self._create(SetQueries, "set_queries", self._set_queries, changes_vocabulary=True)
        self._create(GetQueries, "get_queries", self._get_queries)
        self._create(EmbedText, "embed_text", self._embed_text)
        for camera in dict.fromkeys((*cameras, "")):
            self._create_for_camera(camera)

    def _create_for_camera(self, camera: str) -> None:
        prefix = f"{camera}/" if camera else ""
        for kind, name, handler in (
            (AddExemplar, "add_exemplar", self._add_exemplar),
            (Similarity, "similarity", self._similarity),
            (Classify, "classify", self._classify),
            (ImageTextSimilarity, "image_text_similarity", self._image_text_similarity),
        ):
            bound = partial(handler, latest=partial(self._latest_frame, camera, name))
            self._create(kind, prefix + name, bound, changes_vocabulary=kind is AddExemplar)

    def _create(
        self, kind: type, name: str, handler: Callable[..., None], *, changes_vocabulary: bool = False
    ) -> None:
        group = MutuallyExclusiveCallbackGroup()
        callback = partial(self._respond, name, handler, changes_vocabulary)
        self._node.create_service(kind, f"~/{name}", callback, callback_group=group)

    def _latest_frame(self, camera: str, service: str) -> ReceivedFrame:
        if camera in self._cameras:
            return self._cameras[camera].wait_for_frame()
        names = ", ".join(f"~/{name}/{service}" for name in self._cameras)
        raise QueryError(f"say which camera: call {names}, or send an image")

    def _respond(
        self, name: str, handler: Callable[..., None], changes_vocabulary: bool, request: Any, response: Any
    ) -> Any:
        """Turns errors into success=False with their message, so that none reaches the executor."""
        pipeline = None
        try:
            pipeline = self._active.require()
            handler(pipeline, request, response)
            response.success = True
        except PerceptionError as error:
            if pipeline is not None and changes_vocabulary:
                self._issues.add("vocabulary", str(error))
            response = type(response)(success=False, message=str(error))
        except Exception as error:
            self._node.get_logger().error(f"service {name} failed: {error!r}")
            response = type(response)(success=False, message=f"internal error: {error!r}")
        if pipeline is not None and hasattr(response, "version"):
            response.version = pipeline.vocabulary.version
        return response

    def _now(self) -> Header:
        return Header(stamp=self._node.get_clock().now().to_msg())

    def _set_queries(self, pipeline: Pipeline, request: Any, response: Any) -> None:
        queries_in_force = pipeline.vocabulary.queries
        known = [one for query in queries_in_force for one in (*query.exemplars, *query.negative_exemplars)]
        space = pipeline.query_encoder.exemplar_space
        queries = [query_from_message(message, space, known) for message in request.queries]
        vocabulary = pipeline.set_queries(queries, tuple(request.distractors))
        self._publisher.publish(self._active.loaded)
        labels = ", ".join(query.label for query in vocabulary.queries) or "nothing"
        response.message = f"looking for {labels}"
        given = checked_texts(request.distractors, "a distractor")
        if dropped := [text for text in given if text not in vocabulary.distractors]:
            response.message += f"; no longer a distractor, as it is looked for: {', '.join(dropped)}"

    def _get_queries(self, pipeline: Pipeline, request: Any, response: Any) -> None:
        response.queries = query_set_message(pipeline.vocabulary, self._now())
        response.message = f"{len(response.queries.queries)} queries"

    def _add_exemplar(self, pipeline: Pipeline, request: Any, response: Any, latest: LatestFrame) -> None:
        if request.kind == AddExemplar.Request.IMAGE:
            image = request.image
            if not (image.width and image.height and len(image.data)):
                raise QueryError(
                    f"kind is IMAGE, but `image` has no pixels ({image.width}x{image.height}, "
                    f"{len(image.data)} bytes); fill it, or use kind BOX or POINT of the newest frame"
                )
            frame = frame_from_message(image)
            has_box = request.box.width > 0 or request.box.height > 0
            where = {"box": _checked_box(request.box, frame)} if has_box else {}
        elif request.kind == AddExemplar.Request.BOX:
            frame = latest().frame
            where = {"box": _checked_box(request.box, frame)}
        elif request.kind == AddExemplar.Request.POINT:
            frame = latest().frame
            where = {"point": _checked_point(request.point, frame)}
        else:
            raise QueryError(f"kind {request.kind} is unknown; 0 is BOX, 1 POINT, 2 IMAGE")
        _, exemplar = pipeline.add_exemplar(request.label, frame, **where, negative=request.negative)
        self._publisher.publish(self._active.loaded)
        model = exemplar.space.partition("@")[0]
        response.embedding = embedding_message(exemplar.vector, model, exemplar.space, frame_header(frame))
        kind = "negative exemplar" if request.negative else "exemplar"
        response.message = f"'{request.label}' has one more {kind}"

    def _embed_text(self, pipeline: Pipeline, request: Any, response: Any) -> None:
        if not 0 < len(request.texts) <= MAX_QUERIES:
            raise QueryError(f"{len(request.texts)} texts; give 1 to {MAX_QUERIES}")
        header, encoder = self._now(), pipeline.query_encoder
        vectors = encoder.embed_texts(tuple(request.texts))
        model, space = encoder.text_model, encoder.text_space
        response.embeddings = [embedding_message(one, model, space, header) for one in vectors]
        response.message = f"{len(response.embeddings)} embeddings"

    def _similarity(self, pipeline: Pipeline, request: Any, response: Any, latest: LatestFrame) -> None:
        received = latest()
        if request.kind == Similarity.Request.POINT:
            found = pipeline.similarity(received.frame, point=_checked_point(request.point, received.frame))
        elif request.kind == Similarity.Request.TEXT:
            found = pipeline.similarity(received.frame, text=request.text)
        elif request.kind == Similarity.Request.LABEL:
            found = pipeline.similarity(received.frame, label=request.text)
        else:
            raise QueryError(f"kind {request.kind} is unknown; 0 is POINT, 1 TEXT, 2 LABEL")
        response.space = found.space
        response.heatmap = image_message(found.values, received.header)
        response.message = "probability" if request.kind == Similarity.Request.LABEL else "cosine similarity"

    def _classify(self, pipeline: Pipeline, request: Any, response: Any, latest: LatestFrame) -> None:
        templates = tuple(request.templates) or None
        found = pipeline.classify(
            _request_frame(request.image, latest), tuple(request.labels), templates=templates
        )
        response.model, response.space = pipeline.query_encoder.text_model, found.space
        response.probabilities, response.cosines = (
            _float_array(found.probabilities),
            _float_array(found.cosines),
        )
        response.independent = found.independent
        best = int(found.probabilities.argmax())
        response.message = f"most likely '{found.labels[best]}', {found.probabilities[best]:.2f}"

    def _image_text_similarity(
        self, pipeline: Pipeline, request: Any, response: Any, latest: LatestFrame
    ) -> None:
        found = pipeline.image_text_similarity(_request_frame(request.image, latest), tuple(request.texts))
        response.model, response.space = pipeline.query_encoder.text_model, found.space
        response.cosines, response.clip_scores = _float_array(found.cosines), _float_array(found.clip_scores)
        response.message = f"{len(found.texts)} texts compared"


def _request_frame(image: Image, latest: LatestFrame) -> Frame:
    """The image of a request, or the newest frame where it has none. Raises FrameError, QueryError."""
    has_one = image.width or image.height or len(image.data)
    return frame_from_message(image) if has_one else latest().frame


def _float_array(values: NDArray[np.float32]) -> array.array[float]:
    return array.array("f", values.tobytes())


def _checked_point(point: Any, frame: Frame) -> tuple[float, float]:
    height, width = frame.size
    x, y = float(point.x), float(point.y)
    # Pixel centres lie at integers: the image spans half a pixel beyond the outermost centres.
    inside = -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5
    if not (math.isfinite(x) and math.isfinite(y) and inside):
        raise QueryError(f"point ({x:g}, {y:g}) is outside the image of {width}x{height} pixels")
    return x, y


def _checked_box(box: Any, frame: Frame) -> tuple[int, int, int, int]:
    height, width = frame.size
    x0, y0 = int(box.x_offset), int(box.y_offset)
    x1, y1 = x0 + int(box.width), y0 + int(box.height)
    if box.width == 0 or box.height == 0:
        raise QueryError("the box is empty; give it a width and a height in pixels")
    if x1 > width or y1 > height:
        raise QueryError(f"box x {x0}..{x1}, y {y0}..{y1} leaves the image of {width}x{height} pixels")
    return x0, y0, x1, y1
