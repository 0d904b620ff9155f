"""What is run and timed for each stage of a frame."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import numpy as np
from torch import Tensor

from perception_contrast.bench.bench_models import MANY_QUERIES, BenchModels, prepare_many_queries
from perception_contrast.bench.camera_messages import JPEG, CameraMessage, camera_message
from perception_contrast.bench.dds_loopback import Loopback, loopback
from perception_contrast.bench.machine import synchroniser
from perception_contrast.bench.result_messages import BENCH_REQUEST, MessageBuilder, message_builder
from perception_contrast.bench.timing import Probe, timed
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.dense.method_names import PROXY
from perception_contrast.encoders.encoder_graph import language_features
from perception_contrast.engines.encoder_session import EncoderSession
from perception_contrast.images.decode import decode_message
from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.preprocessing.to_tensor import image_tensor
from perception_contrast.segmentation.rescoring.crop_encoder import RegionCrop
from perception_contrast.segmentation.search_result import SearchResult
from perception_contrast.segmentation.searcher import RESCORING_STAGE
from perception_contrast.tracking.tracker import Tracker

# The name in reports of the processing of a whole frame.
WHOLE_FRAME = "walk"
SEARCH_OF_MANY = f"postprocess.{MANY_QUERIES}"
CROPS = "zoom.8"
CROP_PASSES = "encode.zoom"


@dataclass(frozen=True)
class HeadStages:
    """Stages of a forward pass with a head and of the same without it."""

    with_head: str
    without_head: str


class _RecordedSession:
    """An encoder session that keeps the batches that it ran."""

    def __init__(self, session: EncoderSession) -> None:
        self._session = session
        self.batches: list[Tensor] = []

    def run(self, images: Tensor) -> dict[str, Tensor]:
        self.batches.append(images)
        return self._session.run(images)

    def again(self) -> None:
        """Runs the batches once more, without keeping them."""
        for images in self.batches:
            self._session.run(images)

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)


@dataclass
class StageProbes:
    """Collects the probes of all stages. messages: of a camera that moves; the first one is ``frame``."""

    models: BenchModels
    messages: Sequence[CameraMessage]
    frame: Frame
    batch: int = 1
    build: MessageBuilder | None = None
    probes: list[Probe] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    forwards: list[str] = field(default_factory=list)
    towers: list[str] = field(default_factory=list)
    heads: dict[str, HeadStages] = field(default_factory=dict)
    batched: dict[str, str] = field(default_factory=dict)
    crops: list[int] = field(default_factory=list)

    def add(self, name: str, call: Callable[[], object]) -> None:
        self.probes.append(Probe(name, timed(call, synchroniser(self.models.device))))

    def add_decoding(self) -> None:
        self.add("decode", lambda: decode_message(self.messages[0]))
        packed = camera_message(self.frame.image, JPEG)
        self.add("decode.jpeg", lambda: decode_message(packed))

    def add_preprocessing(self) -> None:
        shapes = [(one.size, one.graph.mean, one.graph.std) for one in self.models.encoders]
        tensors = [image_tensor(self.frame.image, *shape) for shape in shapes]
        device = self.models.device
        self.add("preprocess", lambda: [image_tensor(self.frame.image, *shape) for shape in shapes])
        self.add("upload", lambda: [tensor.to(device) for tensor in tensors])

    def add_encoders(self) -> None:
        for one in self.models.encoders:
            name, served, bare = f"encode.{one.tower.model}", one.served, one.bare
            if bare is None:
                self.skipped[name] = f"no engine for the tower alone ({one.problem})"
                name = f"encode.{one.graph.model}"
            else:
                self.add(name, partial(bare.run, one.images(self.frame)))
            self.towers.append(name)
            whole = f"encode.{one.graph.model}"
            self.forwards.append(whole)
            if one.has_head:
                self.add(whole, partial(served.run, one.images(self.frame)))
                if bare is not None:
                    self.heads["head"] = HeadStages(whole, name)
            if self.batch > 1:
                key = f"{name}.batch{self.batch}"
                engine, model = bare or served, (one.tower if bare else one.graph).model
                self.add(key, partial(engine.run, one.images(self.frame, self.batch)))
                self.batched[model] = key
        if not self.heads:
            self.skipped["head"] = "the dense output is part of the encoder's own forward"

    def add_proxy(self) -> None:
        last = self.models.encoders[-1]
        if last.graph.method != PROXY:
            return
        first = self.models.encoders[0].graph.encoder
        image, words = (one.served.run(one.images(self.frame)) for one in self.models.encoders)
        self.add("proxy", lambda: language_features(last.graph.encoder, first, words, image))

    def add_search(self) -> None:
        pipeline, frame = self.models.pipeline, self.frame
        features, prepared = pipeline.extract_features(frame), pipeline.prepare(pipeline.vocabulary)
        # Rescoring has rows of its own.
        settings = replace(pipeline.settings, max_rescored=0)
        found = pipeline.search(frame, features, prepared, settings)
        many, trackers = prepare_many_queries(pipeline, frame), (Tracker(), Tracker())

        def track(tracker: Tracker, found: SearchResult) -> object:
            return tracker.update(found.detections, frame.image, frame.stamp)

        self.add("postprocess", lambda: pipeline.search(frame, features, prepared, settings))
        self.add("track", lambda: track(trackers[0], found))
        self.add(SEARCH_OF_MANY, lambda: track(trackers[1], pipeline.search(frame, features, many, settings)))
        self._add_crops()

    def _add_crops(self) -> None:
        crop_encoder, (height, width) = self.models.pipeline.frame_search.crop_encoder, self.frame.size
        if crop_encoder is None:
            self.skipped[CROPS] = "the language model rescores no crops"
            return
        side, mask = min(height, width) / 4, np.ones((8, 8), bool)
        corners = [(x, y) for y in np.linspace(0, height - side, 2) for x in np.linspace(0, width - side, 4)]
        crops = [
            RegionCrop((x, y, x + side, y + side), mask, side * side / height / width) for x, y in corners
        ]
        self.add(CROPS, lambda: crop_encoder.vectors(self.frame.image, crops))

    def add_whole_frame(self, stack: ExitStack) -> None:
        """The whole frame, what rescoring took in it, and the models' passes over the crops it encoded.

        stack: gives the crop encoder its own session back.
        """
        camera = itertools.cycle(self.messages)
        crop_encoder, timings = self.models.pipeline.frame_search.crop_encoder, dict[str, float]()

        def process_frame() -> object:
            frame = Frame(decode_message(next(camera)))
            result: FrameResult = self.models.pipeline.process(frame, BENCH_REQUEST)
            timings.clear()
            timings.update(result.timings)
            return self.build(result) if self.build else result

        if crop_encoder is None:
            self.add(WHOLE_FRAME, process_frame)
            self.skipped[RESCORING_STAGE] = self.skipped[CROPS]
            return
        recorded = _RecordedSession(crop_encoder.served)
        stack.callback(setattr, crop_encoder, "served", crop_encoder.served)
        crop_encoder.served = cast(EncoderSession, recorded)
        measure = timed(process_frame, synchroniser(self.models.device))

        def whole_frame() -> float:
            recorded.batches.clear()
            took = measure()
            self.crops.append(sum(len(images) for images in recorded.batches))
            return took

        self.probes.append(Probe(WHOLE_FRAME, whole_frame))
        self.probes.append(Probe(RESCORING_STAGE, lambda: timings.get(RESCORING_STAGE, 0.0)))
        self.add(CROP_PASSES, recorded.again)
        self.forwards.append(CROP_PASSES)
        self.towers.append(CROP_PASSES)

    def add_messages(self) -> None:
        try:
            self.build = message_builder()
        except ImportError as error:
            self.skipped["message"] = f"ROS or this package's interfaces are not here ({error})"
            return
        build, result = self.build, self.models.pipeline.process(self.frame, BENCH_REQUEST)
        self.add("message", lambda: build(result))

    def add_dds(self, stack: ExitStack, environment: Mapping[str, str] | None) -> Loopback | None:
        if environment is None or self.build is None:
            self.skipped["dds"] = "--no-dds" if environment is None else self.skipped["message"]
            return None
        try:
            link = stack.enter_context(loopback(environment))
        except (ImportError, PerceptionError, OSError) as error:
            self.skipped["dds"] = str(error)
            return None
        built = self.build(self.models.pipeline.process(self.frame, BENCH_REQUEST))
        self.probes.append(Probe("dds", lambda: link.send(built)))
        return link
