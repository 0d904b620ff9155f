"""Our engines and other libraries' on one input, turn by turn."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from perception_contrast.bench.machine import synchronise_of
from perception_contrast.bench.peers import peers_of
from perception_contrast.bench.subject import Encoder, Tell, exact_engine
from perception_contrast.bench.timing import Limit, Probe, Tick, Timing, take_turns, timed
from perception_contrast.core.errors import ModelError
from perception_contrast.core.frame import Frame
from perception_contrast.engines.choice import plan_of


@dataclass(frozen=True)
class Against:
    """What the rounds with one peer gave. exact: ours in float32, None where there is no such engine."""

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

    peers: Mapping[str, Against] = field(default_factory=dict)
    exact: str = ""
    skipped: Mapping[str, str] = field(default_factory=dict)


def compare(
    encoder: Encoder,
    frame: Frame,
    *,
    batch: int,
    threads: int,
    limit: Limit,
    tell: Tell,
    tick: Tick | None = None,
) -> Comparison:
    """The bare tower of an encoder, on its own engine and in float32, against each library in turn."""
    ours = encoder.bare or encoder.served
    images = encoder.images(frame, batch)
    skipped: dict[str, str] = {}
    try:
        exact = exact_engine(encoder, tell)
    except ModelError as error:
        exact, skipped["compare_fp32"] = None, str(error)
    synchronise = synchronise_of(encoder.served.device)
    with ExitStack() as stack:
        tell("other libraries")
        peers, missing = peers_of(encoder.tower.model, encoder.size, images, threads, stack)
        skipped |= {f"compare.{name}": reason for name, reason in missing.items()}
        engines = [ours] if exact in (None, ours) else [ours, exact]
        own = [Probe("ours", timed(partial(engine.run, images), synchronise)) for engine in engines]
        probes = []
        for peer in peers:
            probes += [*own, Probe(peer.name, timed(partial(peer.run, images), synchronise))]
        timings = take_turns(probes, limit, "comparison", tick) if probes else []
    stride = len(own) + 1
    found = {}
    for index, peer in enumerate(peers):
        mine, *others, theirs = timings[index * stride : (index + 1) * stride]
        in_fp32 = others[0] if others else mine if exact is ours else None
        found[peer.name] = Against(peer.what, theirs, mine, in_fp32)
    return Comparison(found, str(plan_of(exact)) if exact else "", skipped)
