"""Times each stage of a frame on its own, and the processing of a whole frame beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from perception_contrast.bench.bench_models import BenchModels
from perception_contrast.bench.camera_messages import CameraMessage
from perception_contrast.bench.stage_probes import SEARCH_OF_MANY, WHOLE_FRAME, HeadStages, StageProbes
from perception_contrast.bench.timing import (
    WARM_UPS,
    Limit,
    RoundCallback,
    Timing,
    ratios,
    time_in_rounds,
)
from perception_contrast.core.frame import Frame
from perception_contrast.images.decode import decode_message


@dataclass(frozen=True)
class Stages:
    """Times of one run.

    Attributes:
        timings: By name of the stage, the whole frame among them; encoders' are of one image.
        skipped: Stage to the reason why it was not timed.
        forwards: Stages of the models' forward passes, heads and rescored crops included.
        towers: The same without heads.
        batched: Model to the timing of its bare forward pass of the whole batch.
        ends_at: "messages", or "arrays" without ROS.
        crops: Enlarged crops that each whole frame encoded; empty where nothing is rescored.
    """

    timings: Mapping[str, Timing]
    skipped: Mapping[str, str]
    forwards: tuple[str, ...]
    towers: tuple[str, ...]
    batched: Mapping[str, Timing] = field(default_factory=dict)
    ends_at: str = "messages"
    notes: tuple[str, ...] = ()
    crops: tuple[int, ...] = ()

    @property
    def whole_frame(self) -> Timing:
        return self.timings[WHOLE_FRAME]

    @property
    def frame_over_forwards(self) -> float:
        """The whole frame over the sum of the models' forward passes, the median over the rounds."""
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
        rounds = zip(*(self.timings[name].samples for name in names), strict=True)
        return ratios(self.whole_frame, Timing(tuple(map(sum, rounds)))).p50


def measure_stages(
    models: BenchModels,
    messages: Sequence[CameraMessage],
    limit: Limit,
    *,
    batch: int = 1,
    environment: Mapping[str, str] | None = None,
    on_round: RoundCallback | None = None,
) -> Stages:
    """Times every stage and the whole frame in alternating rounds.

    Args:
        models: what is measured.
        messages: of a camera that moves; whole frames take them in turn, other stages the first.
        limit: when to stop.
        batch: images in a forward pass of the encoders' own figures.
        environment: of the DDS stage, None for no such stage.
        on_round: as of ``time_in_rounds``.
    """
    stages = StageProbes(models, messages, Frame(decode_message(messages[0])), batch)
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
        stages.add_whole_frame(stack)
        link = stages.add_dds(stack, environment)
        names = [probe.name for probe in stages.probes]
        timings = dict(zip(names, time_in_rounds(stages.probes, limit, "stages", on_round), strict=True))
    notes, crops = [], tuple(stages.crops[WARM_UPS:])
    if crops and not any(crops):
        notes.append("nothing in these frames was probable enough to be rescored: they cost too little")
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
        crops,
    )


def _with_heads(timings: Mapping[str, Timing], heads: Mapping[str, HeadStages]) -> dict[str, Timing]:
    """Adds each head's time: that of a forward pass with it less that of the one without it, by rounds."""
    made: dict[str, Timing] = {}
    for name, timing in timings.items():
        made[name] = timing
        for head, stages in heads.items():
            if name == stages.with_head:
                pairs = zip(timing.samples, timings[stages.without_head].samples, strict=True)
                made[head] = Timing(tuple(both - alone for both, alone in pairs))
    return made
