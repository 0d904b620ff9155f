"""Requests to the services of perception_node, through the handlers, with real pipelines of tiny models."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import recordings
import small_models
from geometry_msgs.msg import Point
from perception_contrast_msgs import srv
from perception_contrast_msgs.msg import Embedding, Query
from rclpy.node import Node
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header

from fuzzing.target import Mutation, Target
from fuzzing.targets.messages import labelled, mutated_cdr, split
from fuzzing.targets.ros_messages import UndecodableMessage, mutated_request, ros_message
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.ros.camera.camera_input import ReceivedFrame
from perception_contrast.ros.messages.image_messages import image_message
from perception_contrast.ros.monitoring.statistics import Issues
from perception_contrast.ros.node.services import PerceptionServices

_SEARCHED_EVERY = 20


class RefusedRequest(Exception):
    """A response without success, whose message says why."""


class _Active:
    """A pipeline that is always active."""

    def __init__(self) -> None:
        settings = PipelineSettings(short_side=56, max_tokens=64)
        self.loaded = Pipeline(small_models.encoders_of.__wrapped__("household-lit"), settings)

    def require(self) -> Pipeline:
        return self.loaded


class _Camera:
    """A camera that has shown one image."""

    def __init__(self, image: np.ndarray) -> None:
        self._received = ReceivedFrame(Frame(image, 1, "camera"), Header(frame_id="camera"))

    def wait_for_frame(self) -> ReceivedFrame:
        return self._received


class _Publisher:
    def publish(self, pipeline: Pipeline | None, *, force: bool = False) -> None:
        return


def fuzzed_node(name: str) -> Node:
    """A node whose callbacks are called here: nothing spins."""
    if not rclpy.ok():
        # Its handlers would keep a worker alive that is told to end.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    return Node(name, start_parameter_services=True, enable_rosout=False)


class Services(Target):
    allowed = (RefusedRequest, UndecodableMessage)

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        self._node, self._active = fuzzed_node("fuzzed_services"), _Active()
        self._image = recordings.image(0, (42, 56))
        self._frame = Frame(self._image, 1, "camera")
        self._issues = Issues()
        self._services = PerceptionServices(
            self._node, self._active, {"": _Camera(self._image)}, _Publisher(), self._issues
        )
        self._callbacks = {one.srv_name.rpartition("/")[2]: one for one in self._node.services}
        self._count = itertools.count()

    @property
    def mutations(self) -> Sequence[Mutation]:
        return (mutated_request, mutated_request, mutated_cdr)

    def begin(self) -> None:
        self._active.loaded.adopt_vocabulary(Vocabulary())

    def seeds(self) -> list[bytes]:
        image = image_message(self._image, Header())
        space = self._active.loaded.query_encoder.exemplar_space
        vector = Embedding(model="small", space=space, normalized=True, data=[0.1] * small_models.SHARED)
        words = Query(label="mug", phrases=["a mug"], negatives=["a cup"], threshold=0.3)
        queries = [words, Query(label="it", exemplars=[vector])]
        box, point = RegionOfInterest(x_offset=5, y_offset=5, width=20, height=20), Point(x=5.0, y=6.0)
        requests = (
            srv.SetQueries.Request(queries=queries, distractors=["wall"]),
            srv.SetQueries.Request(queries=[words]),
            srv.GetQueries.Request(),
            srv.EmbedText.Request(texts=["a red mug", "a chair"]),
            srv.AddExemplar.Request(label="mug", kind=0, box=box),
            srv.AddExemplar.Request(label="mug", kind=1, point=point),
            srv.AddExemplar.Request(label="mug", kind=2, image=image),
            srv.Similarity.Request(kind=0, point=point),
            srv.Similarity.Request(kind=1, text="red"),
            srv.Similarity.Request(kind=2, text="mug"),
            srv.Classify.Request(labels=["red", "blue"], templates=["a {} thing"], image=image),
            srv.Classify.Request(labels=["red", "blue"]),
            srv.ImageTextSimilarity.Request(texts=["red", "blue"], image=image),
        )
        return [
            labelled(f"perception_contrast_msgs/srv/{type(one).__name__}", serialize_message(one))
            for one in requests
        ]

    def run(self, data: bytes) -> None:
        name, cdr = split(data)
        kind = name.rpartition("/")[2].removesuffix("_Request")
        if not hasattr(srv, kind):
            raise UndecodableMessage(f"no such service: {name!r}")
        type_ = getattr(srv, kind)
        request = ros_message(type_.Request, cdr)
        before = self._active.loaded.vocabulary
        response = self._call(kind, request, type_.Response())
        serialize_message(response)
        if "internal error" in response.message:
            raise AssertionError(response.message)
        if not response.success:
            assert response.message, "a refusal without a reason"
            assert self._active.loaded.vocabulary is before, "a refused request changed the vocabulary"
            raise RefusedRequest(response.message)
        if next(self._count) % _SEARCHED_EVERY == 0:
            self._active.loaded.process(self._frame, OutputRequest(masks=True, detections=True))

    def _call(self, kind: str, request: Any, response: Any) -> Any:
        snake = "".join(f"_{one.lower()}" if one.isupper() else one for one in kind).lstrip("_")
        # ImageTextSimilarity and so on: the names of services are those of their types.
        return self._callbacks[snake].callback(request, response)
