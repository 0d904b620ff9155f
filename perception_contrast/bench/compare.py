"""Compares our engines with other libraries on one input, in alternating rounds."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from perception_contrast.bench.bench_models import MeasuredEncoder, ProgressCallback, exact_engine
from perception_contrast.bench.machine import synchroniser
from perception_contrast.bench.other_libraries import build_other_libraries
from perception_contrast.bench.timing import Limit, Probe, RoundCallback, Timing, time_in_rounds, timed
from perception_contrast.core.errors import ModelError
from perception_contrast.core.frame import Frame
from perception_contrast.engines.engine_trial import plan_of


@dataclass(frozen=True)
class LibraryComparison:
    """Times of one library and ours in the same rounds. exact: ours in float32, if there is such."""

    what: str
    theirs: Timing
    ours: Timing
    exact: Timing | None = None

    @property
    def ratio(self) -> float:
        """Our throughput over theirs, by medians."""
        return self.theirs.p50 / self.ours.p50

    @property
    def exact_ratio(self) -> float | None:
        return None if self.exact is None else self.theirs.p50 / self.exact.p50


@dataclass(frozen=True)
class Comparison:
    """peers: by library. exact: our float32 engine in words. skipped: name to reason."""

    peers: Mapping[str, LibraryComparison] = field(default_factory=dict)
    exact: str = ""
    skipped: Mapping[str, str] = field(default_factory=dict)


def compare_libraries(
    encoder: MeasuredEncoder,
    frame: Frame,
    *,
    batch: int,
    threads: int,
    limit: Limit,
    on_progress: ProgressCallback,
    on_round: RoundCallback | None = None,
) -> Comparison:
    """The bare tower of an encoder, on its own engine and in float32, against each library in turn."""
    ours = encoder.bare or encoder.served
    images = encoder.images(frame, batch)
    skipped: dict[str, str] = {}
    try:
        exact = exact_engine(encoder, on_progress)
    except ModelError as error:
        exact, skipped["compare_fp32"] = None, str(error)
    synchronise = synchroniser(encoder.served.device)
    with ExitStack() as stack:
        on_progress("other libraries")
        peers, missing = build_other_libraries(encoder.tower.model, encoder.size, images, threads, stack)
        skipped |= {f"compare.{name}": reason for name, reason in missing.items()}
        engines = [ours] if exact in (None, ours) else [ours, exact]
        own = [Probe("ours", timed(partial(engine.run, images), synchronise)) for engine in engines]
        probes = []
        for peer in peers:
            probes += [*own, Probe(peer.name, timed(partial(peer.run, images), synchronise))]
        timings = time_in_rounds(probes, limit, "comparison", on_round) if probes else []
    stride = len(own) + 1
    found = {}
    for index, peer in enumerate(peers):
        mine, *others, theirs = timings[index * stride : (index + 1) * stride]
        in_fp32 = others[0] if others else mine if exact is ours else None
        found[peer.name] = LibraryComparison(peer.what, theirs, mine, in_fp32)
    return Comparison(found, str(plan_of(exact)) if exact else "", skipped)
