"""Rounds of timed calls that take turns, and what is said of their times."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

WARM_UPS = 3
FEWEST = 5
# Threads of the libraries go on spinning for a while after a call; the next one is not to pay for it.
PAUSE = 0.01
QUANTILES = (50, 95, 99)

Tick = Callable[[str, float], None]


@dataclass(frozen=True)
class Timing:
    """Milliseconds of each round, in order."""

    samples: tuple[float, ...]

    def percentile(self, q: float) -> float:
        """Linear between the nearest ranks. Raises ValueError without samples."""
        if not self.samples:
            raise ValueError("no round was measured")
        return float(np.percentile(self.samples, q))

    @property
    def p50(self) -> float:
        return self.percentile(50)

    def described(self) -> dict[str, float]:
        """p50_ms, p95_ms, p99_ms and how many rounds they are of."""
        row: dict[str, float] = {f"p{q}_ms": round(self.percentile(q), 4) for q in QUANTILES}
        return {**row, "rounds": len(self.samples)}


@dataclass(frozen=True)
class Limit:
    """When to stop: after ``rounds``, or else after ``seconds`` and no fewer than FEWEST rounds."""

    rounds: int | None = None
    seconds: float = 20.0

    def share(self, done: int, elapsed: float) -> float:
        """How much is done, 0 to 1."""
        if self.rounds is not None:
            return min(1.0, done / self.rounds)
        return min(1.0, elapsed / self.seconds, done / FEWEST)


@dataclass(frozen=True)
class Probe:
    """measure: does it once and gives the milliseconds, or None where this time there is no result."""

    name: str
    measure: Callable[[], float | None]


def timed(work: Callable[[], object], synchronise: Callable[[], None]) -> Callable[[], float]:
    """``work`` with a clock around it. synchronise: waits until the device has nothing left to do."""

    def measure() -> float:
        synchronise()
        began = time.perf_counter()
        work()
        synchronise()
        return 1e3 * (time.perf_counter() - began)

    return measure


def take_turns(
    probes: Sequence[Probe], limit: Limit, what: str = "", tick: Tick | None = None
) -> list[Timing]:
    """Measures all probes in turn, round after round, so that what else the machine does meets all alike.

    A Timing a probe, in their order. The first WARM_UPS rounds do not count. tick(what, share) is
    called after each round.
    """
    kept: list[list[float]] = [[] for _ in probes]
    for _ in range(WARM_UPS):
        for probe in probes:
            probe.measure()
    done, began = 0, time.perf_counter()
    while limit.share(done, time.perf_counter() - began) < 1.0:
        for samples, probe in zip(kept, probes, strict=True):
            time.sleep(PAUSE)
            took = probe.measure()
            if took is not None:
                samples.append(took)
        done += 1
        if tick:
            tick(what, limit.share(done, time.perf_counter() - began))
    return [Timing(tuple(samples)) for samples in kept]
