"""Times each stage of a frame on its own, and the processing of a whole frame beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from perception_contrast.bench.bench_models import MANY_QUERIES, BenchModels, prepare_many_queries
from perception_contrast.bench.camera_messages import JPEG, CameraMessage, camera_message
from perception_contrast.bench.dds_loopback import Loopback, loopback
from perception_contrast.bench.machine import synchroniser
from perception_contrast.bench.result_messages import BENCH_REQUEST, MessageBuilder, message_builder
from perception_contrast.bench.timing import Limit, Probe, RoundCallback, Timing, time_in_rounds, timed
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.dense.method_names import PROXY
from perception_contrast.encoders.encoder_graph import language_features
from perception_contrast.images.decode import decode_message
from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.preprocessing.to_tensor import image_tensor
from perception_contrast.segmentation.rescoring.crop_encoder import RegionCrop
from perception_contrast.segmentation.search_result import SearchResult
from perception_contrast.tracking.tracker import Tracker

# The name in reports of the processing of a whole frame.
WHOLE_FRAME = "walk"
SEARCH_OF_MANY = f"postprocess.{MANY_QUERIES}"
CROPS = "zoom.8"


@dataclass(frozen=True)
class Stages:
    """Times of one run.

    Attributes:
        timings: By name of the stage, the whole frame among them; encoders' are of one image.
        skipped: Stage to the reason why it was not timed.
        forwards: Stages of the models' forward passes, heads included.
        towers: The same without heads.
        batched: Model to the timing of its bare forward pass of the whole batch.
        ends_at: "messages", or "arrays" without ROS.
    """

    timings: Mapping[str, Timing]
    skipped: Mapping[str, str]
    forwards: tuple[str, ...]
    towers: tuple[str, ...]
    batched: Mapping[str, Timing] = field(default_factory=dict)
    ends_at: str = "messages"
    notes: tuple[str, ...] = ()

    @property
    def whole_frame(self) -> Timing:
        return self.timings[WHOLE_FRAME]

    @property
    def frame_over_forwards(self) -> float:
        """Median of the whole frame over the sum of the medians of the models' forward passes."""
        return self._frame_over(self.forwards)

    @property
    def frame_over_towers(self) -> float:
        """The same with heads counted as cost of the frame."""
        return self._frame_over(self.towers)

    @property
    def postprocess_share(self) -> float:
        """Share of masks, detections and tracks in a frame with MANY_QUERIES queries, by medians."""
        many = self.timings[SEARCH_OF_MANY].p50
        few = self.timings["postprocess"].p50 + self.timings["track"].p50
        return many / (self.whole_frame.p50 - few + many)

    def _frame_over(self, names: tuple[str, ...]) -> float:
        return self.whole_frame.p50 / sum(self.timings[name].p50 for name in names)


@dataclass(frozen=True)
class _HeadStages:
    """Stages of a forward pass with a head and of the same without it."""

    with_head: str
    without_head: str


@dataclass
class _StageProbes:
    """Collects the probes of all stages."""

    models: BenchModels
    message: CameraMessage
    frame: Frame
    batch: int = 1
    build: MessageBuilder | None = None
    probes: list[Probe] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    forwards: list[str] = field(default_factory=list)
    towers: list[str] = field(default_factory=list)
    heads: dict[str, _HeadStages] = field(default_factory=dict)
    batched: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, call: Callable[[], object]) -> None:
        self.probes.append(Probe(name, timed(call, synchroniser(self.models.device))))

    def add_decoding(self) -> None:
        self.add("decode", lambda: decode_message(self.message))
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
                    self.heads["head"] = _HeadStages(whole, name)
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
        found = pipeline.search(frame, features, prepared)
        many, trackers = prepare_many_queries(pipeline, frame), (Tracker(), Tracker())

        def track(tracker: Tracker, found: SearchResult) -> object:
            return tracker.update(found.detections, frame.image, frame.stamp)

        self.add("postprocess", lambda: pipeline.search(frame, features, prepared))
        self.add("track", lambda: track(trackers[0], found))
        self.add(SEARCH_OF_MANY, lambda: track(trackers[1], pipeline.search(frame, features, many)))
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

    def _process_frame(self) -> object:
        result: FrameResult = self.models.pipeline.process(Frame(decode_message(self.message)), BENCH_REQUEST)
        return self.build(result) if self.build else result

    def add_whole_frame(self) -> None:
        self.add(WHOLE_FRAME, self._process_frame)

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


def measure_stages(
    models: BenchModels,
    message: CameraMessage,
    limit: Limit,
    *,
    batch: int = 1,
    environment: Mapping[str, str] | None = None,
    on_round: RoundCallback | None = None,
) -> Stages:
    """Times every stage and the whole frame in alternating rounds. environment: of the DDS stage, or None."""
    stages = _StageProbes(models, message, Frame(decode_message(message)), batch)
    with ExitStack() as stack:
        for add in (
            stages.add_decoding,
            stages.add_preprocessing,
            stages.add_encoders,
            stages.add_proxy,
            stages.add_search,
            stages.add_messages,
        ):
            add()
        stages.add_whole_frame()
        link = stages.add_dds(stack, environment)
        names = [probe.name for probe in stages.probes]
        timings = dict(zip(names, time_in_rounds(stages.probes, limit, "stages", on_round), strict=True))
    notes = []
    if link is not None and link.lost:
        notes.append(f"dds: {link.lost} sets of messages did not arrive whole")
    if link is not None and not timings["dds"].samples:
        stages.skipped["dds"] = "no set of messages arrived whole"
        del timings["dds"]
    timings = _with_heads(timings, stages.heads)
    batched = {model: timings.pop(name) for model, name in stages.batched.items()}
    ends_at = "messages" if stages.build else "arrays"
    return Stages(
        timings,
        stages.skipped,
        tuple(stages.forwards),
        tuple(stages.towers),
        batched,
        ends_at,
        tuple(notes),
    )


def _with_heads(timings: Mapping[str, Timing], heads: Mapping[str, _HeadStages]) -> dict[str, Timing]:
    """Adds each head's time: that of a forward pass with it less that of the one without it, by rounds."""
    made: dict[str, Timing] = {}
    for name, timing in timings.items():
        made[name] = timing
        for head, stages in heads.items():
            if name == stages.with_head:
                pairs = zip(timing.samples, timings[stages.without_head].samples, strict=True)
                made[head] = Timing(tuple(both - alone for both, alone in pairs))
    return made
