"""The parts of the walk of one frame, each timed alone, and the walk as a whole beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from perception_contrast.bench.camera_messages import JPEG, CameraMessage, camera_message
from perception_contrast.bench.dds_loopback import Loopback, loopback
from perception_contrast.bench.machine import synchronise_of
from perception_contrast.bench.result_messages import WANTS, Build, message_builder
from perception_contrast.bench.subject import MANY, Subject, prepared_twenty
from perception_contrast.bench.timing import Limit, Probe, Tick, Timing, take_turns, timed
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.dense.method_names import PROXY
from perception_contrast.encoders.encoder_graphs import language_grid
from perception_contrast.images.decode import decode_message
from perception_contrast.pipeline.output_request import Result
from perception_contrast.preprocessing.to_tensor import image_tensor
from perception_contrast.segmentation.rescoring.crop_encoder import RegionCrop
from perception_contrast.segmentation.search_result import SearchResult
from perception_contrast.tracking.tracker import Tracker

WALK = "walk"
SEARCH_OF_MANY = f"postprocess.{MANY}"
VIEWS = "zoom.8"


@dataclass(frozen=True)
class Stages:
    """timings: by name, the walk among them; encoders' are of one image. skipped: name to reason.

    forwards: names of the models' forwards that the walk is compared with, a head of a language model
    among them; towers: of the same without heads. batched: model to the timing of
    its bare forward of the whole batch.
    """

    timings: Mapping[str, Timing]
    skipped: Mapping[str, str]
    forwards: tuple[str, ...]
    towers: tuple[str, ...]
    batched: Mapping[str, Timing] = field(default_factory=dict)
    ends_at: str = "messages"
    notes: tuple[str, ...] = ()

    @property
    def walk(self) -> Timing:
        return self.timings[WALK]

    @property
    def walk_over_forwards(self) -> float:
        """Median of the walk over the sum of the medians of the models' forwards."""
        return self._walk_over(self.forwards)

    @property
    def walk_over_towers(self) -> float:
        """The same with heads counted as cost of the walk."""
        return self._walk_over(self.towers)

    @property
    def postprocess_share(self) -> float:
        """Of the medians: masks, detections and tracks of MANY queries over a walk that has them to do."""
        many = self.timings[SEARCH_OF_MANY].p50
        few = self.timings["postprocess"].p50 + self.timings["track"].p50
        return many / (self.walk.p50 - few + many)

    def _walk_over(self, names: tuple[str, ...]) -> float:
        return self.walk.p50 / sum(self.timings[name].p50 for name in names)


@dataclass
class _Bench:
    subject: Subject
    message: CameraMessage
    frame: Frame
    batch: int = 1
    build: Build | None = None
    probes: list[Probe] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    forwards: list[str] = field(default_factory=list)
    towers: list[str] = field(default_factory=list)
    heads: dict[str, tuple[str, str]] = field(default_factory=dict)
    batched: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, work: Callable[[], object]) -> None:
        self.probes.append(Probe(name, timed(work, synchronise_of(self.subject.device))))

    def decoding(self) -> None:
        self.add("decode", lambda: decode_message(self.message))
        packed = camera_message(self.frame.image, JPEG)
        self.add("decode.jpeg", lambda: decode_message(packed))

    def inputs(self) -> None:
        shapes = [(one.size, one.graph.mean, one.graph.std) for one in self.subject.encoders]
        tensors = [image_tensor(self.frame.image, *shape) for shape in shapes]
        device = self.subject.device
        self.add("preprocess", lambda: [image_tensor(self.frame.image, *shape) for shape in shapes])
        self.add("upload", lambda: [tensor.to(device) for tensor in tensors])

    def encoding(self) -> None:
        for one in self.subject.encoders:
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
                    self.heads["head"] = (whole, name)
            if self.batch > 1:
                key = f"{name}.batch{self.batch}"
                engine, model = bare or served, (one.tower if bare else one.graph).model
                self.add(key, partial(engine.run, one.images(self.frame, self.batch)))
                self.batched[model] = key
        if not self.heads:
            self.skipped["head"] = "the dense output is part of the encoder's own forward"

    def proxying(self) -> None:
        last = self.subject.encoders[-1]
        if last.graph.method != PROXY:
            return
        image, words = (one.served.run(one.images(self.frame)) for one in self.subject.encoders)
        self.add("proxy", lambda: language_grid(last.graph.tower, words, image))

    def searching(self) -> None:
        pipeline, frame = self.subject.pipeline, self.frame
        seen, prepared = pipeline.see(frame), pipeline.prepare(pipeline.vocabulary)
        found = pipeline.find(frame, seen, prepared)
        many, trackers = prepared_twenty(pipeline, frame), (Tracker(), Tracker())

        def track(tracker: Tracker, found: SearchResult) -> object:
            return tracker.update(found.detections, frame.image, frame.stamp)

        self.add("postprocess", lambda: pipeline.find(frame, seen, prepared))
        self.add("track", lambda: track(trackers[0], found))
        self.add(SEARCH_OF_MANY, lambda: track(trackers[1], pipeline.find(frame, seen, many)))
        self._zooming()

    def _zooming(self) -> None:
        crop_encoder, (height, width) = self.subject.pipeline.crop_encoder, self.frame.size
        if crop_encoder is None:
            self.skipped[VIEWS] = "the language model takes no second look"
            return
        side, mask = min(height, width) / 4, np.ones((8, 8), bool)
        corners = [(x, y) for y in np.linspace(0, height - side, 2) for x in np.linspace(0, width - side, 4)]
        crops = [
            RegionCrop((x, y, x + side, y + side), mask, side * side / height / width) for x, y in corners
        ]
        self.add(VIEWS, lambda: crop_encoder.vectors(self.frame.image, crops))

    def _frame_processor(self) -> object:
        result: Result = self.subject.pipeline.process(Frame(decode_message(self.message)), WANTS)
        return self.build(result) if self.build else result

    def walking(self) -> None:
        self.add(WALK, self._frame_processor)

    def messages(self) -> None:
        try:
            self.build = message_builder()
        except ImportError as error:
            self.skipped["message"] = f"ROS or this package's interfaces are not here ({error})"
            return
        build, result = self.build, self.subject.pipeline.process(self.frame, WANTS)
        self.add("message", lambda: build(result))

    def transport(self, stack: ExitStack, environment: Mapping[str, str] | None) -> Loopback | None:
        if environment is None or self.build is None:
            self.skipped["dds"] = "--no-dds" if environment is None else self.skipped["message"]
            return None
        try:
            link = stack.enter_context(loopback(environment))
        except (ImportError, PerceptionError, OSError) as error:
            self.skipped["dds"] = str(error)
            return None
        built = self.build(self.subject.pipeline.process(self.frame, WANTS))
        self.probes.append(Probe("dds", lambda: link.send(built)))
        return link


def measure_stages(
    subject: Subject,
    message: CameraMessage,
    limit: Limit,
    *,
    batch: int = 1,
    environment: Mapping[str, str] | None = None,
    tick: Tick | None = None,
) -> Stages:
    """Every part and the walk in turn, round after round. environment: of the DDS stage, None for none."""
    bench = _Bench(subject, message, Frame(decode_message(message)), batch)
    with ExitStack() as stack:
        for add in (
            bench.decoding,
            bench.inputs,
            bench.encoding,
            bench.proxying,
            bench.searching,
            bench.messages,
        ):
            add()
        bench.walking()
        link = bench.transport(stack, environment)
        names = [probe.name for probe in bench.probes]
        timings = dict(zip(names, take_turns(bench.probes, limit, "stages", tick), strict=True))
    notes = []
    if link is not None and link.lost:
        notes.append(f"dds: {link.lost} sets of messages did not arrive whole")
    if link is not None and not timings["dds"].samples:
        bench.skipped["dds"] = "no set of messages arrived whole"
        del timings["dds"]
    timings = _with_heads(timings, bench.heads)
    batched = {model: timings.pop(name) for model, name in bench.batched.items()}
    ends_at = "messages" if bench.build else "arrays"
    return Stages(
        timings,
        bench.skipped,
        tuple(bench.forwards),
        tuple(bench.towers),
        batched,
        ends_at,
        tuple(notes),
    )


def _with_heads(timings: Mapping[str, Timing], heads: Mapping[str, tuple[str, str]]) -> dict[str, Timing]:
    """A head's rounds are what a forward with it took more than the one without it, right after that one."""
    made: dict[str, Timing] = {}
    for name, timing in timings.items():
        made[name] = timing
        for head, (whole, part) in heads.items():
            if name == whole:
                pairs = zip(timing.samples, timings[part].samples, strict=True)
                made[head] = Timing(tuple(both - alone for both, alone in pairs))
    return made
