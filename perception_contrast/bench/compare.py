"""Compares our engines with other libraries on one input, in alternating rounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from perception_contrast.bench.bench_models import MeasuredEncoder, ProgressCallback, engine_at
from perception_contrast.bench.machine import synchroniser
from perception_contrast.bench.peers import Peer, build_peers
from perception_contrast.bench.timing import (
    Limit,
    Probe,
    RoundCallback,
    Timing,
    median_uncertainty,
    ratios,
    time_in_rounds,
    timed,
)
from perception_contrast.core.errors import ModelError
from perception_contrast.core.frame import Frame
from perception_contrast.engines.base import Engine
from perception_contrast.engines.engine_trial import plan_of

# Ratios whose uncertainty is below this share are steady.
STEADY = 0.05
HEADLINE = "timm"


@dataclass(frozen=True)
class LibraryComparison:
    """Times of one peer and ours in the same rounds.

    Attributes:
        peer: what was timed.
        theirs: its times.
        ours: times of the engine that serves.
        same: times of our engine at the peer's precision, None where there is none.
        engine: that engine in words, "" for none.
    """

    peer: Peer
    theirs: Timing
    ours: Timing
    same: Timing | None = None
    engine: str = ""

    @property
    def ratio(self) -> float:
        """Our throughput over theirs: the median of the rounds' ratios."""
        return ratios(self.theirs, self.ours).p50

    @property
    def same_ratio(self) -> float | None:
        """The same with our engine at the peer's precision."""
        return None if self.same is None else ratios(self.theirs, self.same).p50

    @property
    def uncertainty(self) -> float | None:
        """Of ``ratio``, as of ``median_uncertainty``."""
        return median_uncertainty(ratios(self.theirs, self.ours).samples)


@dataclass(frozen=True)
class Comparison:
    """Ours beside all peers.

    Attributes:
        peers: by name, those that pass the gate.
        skipped: name to the reason why a peer or an engine of ours is not there.
    """

    peers: Mapping[str, LibraryComparison] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> LibraryComparison | None:
        """The peer that we are ahead of by the least, each library at whichever precision is its fastest."""
        return min(self.peers.values(), key=lambda one: one.ratio, default=None)

    @property
    def over_timm_fp32(self) -> float | None:
        """Our throughput over timm's eager float32; None for a model that timm does not have."""
        return self.peers[HEADLINE].ratio if HEADLINE in self.peers else None

    @property
    def spread(self) -> float | None:
        """The largest uncertainty of a ratio; None with too few rounds to know."""
        return _largest(one.uncertainty for one in self.peers.values())

    @property
    def steady(self) -> bool:
        """Whether the spread is known and below STEADY."""
        return self.spread is not None and self.spread < STEADY


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
    """The bare tower of an encoder against each peer in turn: on its own engine, and at the peer's precision.

    Rounds go on past the limit until the ratios are steady, up to ``limit.longest``.
    """
    images = encoder.images(frame, batch)
    with ExitStack() as stack:
        on_progress("other libraries")
        peers = build_peers(encoder.tower, encoder.size, images, threads, stack)
        skipped = {f"compare.{name}": reason for name, reason in peers.skipped.items()}
        rows = _rows(encoder, peers.passed, skipped, on_progress)
        found = _measured(rows, images, limit, on_round) if rows else {}
    return Comparison(found, skipped)


@dataclass(frozen=True)
class _Row:
    """A peer, the engine that serves, and ours at the peer's precision where that is another one."""

    peer: Peer
    ours: Engine
    same: Engine | None

    @property
    def engines(self) -> list[Engine]:
        """Ours, each once."""
        same = [] if self.same is None or self.same is self.ours else [self.same]
        return [self.ours, *same]

    def probes(self, images: Tensor) -> list[Probe]:
        """Ours, then theirs."""
        synchronise = synchroniser(self.ours.device)
        own = [Probe("ours", timed(partial(engine.run, images), synchronise)) for engine in self.engines]
        given = images.to(self.peer.dtype)
        return [*own, Probe(self.peer.name, timed(partial(self.peer.run, given), synchronise))]

    def comparison(self, timings: Sequence[Timing]) -> LibraryComparison:
        """timings: in the order of ``probes``."""
        mine, *others, theirs = timings
        same = others[0] if others else mine if self.same is self.ours else None
        engine = str(plan_of(self.same)) if self.same is not None else ""
        return LibraryComparison(self.peer, theirs, mine, same, engine)


def _rows(
    encoder: MeasuredEncoder, peers: Iterable[Peer], skipped: dict[str, str], on_progress: ProgressCallback
) -> list[_Row]:
    """skipped: is told at which precisions we have no engine."""
    ours, rows = encoder.bare or encoder.served, []
    at: dict[str, Engine | None] = {}
    for peer in peers:
        if peer.precision not in at:
            try:
                at[peer.precision] = engine_at(encoder, peer.precision, on_progress)
            except ModelError as error:
                at[peer.precision] = None
                skipped[f"compare.ours {peer.precision}"] = str(error)
        rows.append(_Row(peer, ours, at[peer.precision]))
    return rows


def _measured(
    rows: Sequence[_Row], images: Tensor, limit: Limit, on_round: RoundCallback | None
) -> dict[str, LibraryComparison]:
    probes = [row.probes(images) for row in rows]

    def compared(timings: Sequence[Timing]) -> dict[str, LibraryComparison]:
        left = iter(timings)
        return {
            row.peer.name: row.comparison([next(left) for _ in own])
            for row, own in zip(rows, probes, strict=True)
        }

    def steady(timings: Sequence[Timing]) -> bool:
        return Comparison(compared(timings)).steady

    everything = [probe for own in probes for probe in own]
    return compared(time_in_rounds(everything, limit, "comparison", on_round, steady))


def _largest(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return max((one for one in known if one is not None), default=None) if None not in known else None
