"""Times several calls in alternating rounds, and summarises their times."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

WARM_UPS = 3
MIN_ROUNDS = 5
# Threads of the libraries go on spinning for a while after a call; the next one is not to pay for it.
PAUSE = 0.01
QUANTILES = (50, 95, 99)

RoundCallback = Callable[[str, float], None]


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

    def summary(self) -> dict[str, float]:
        """p50_ms, p95_ms, p99_ms and the number of rounds."""
        row: dict[str, float] = {f"p{q}_ms": round(self.percentile(q), 4) for q in QUANTILES}
        return {**row, "rounds": len(self.samples)}


@dataclass(frozen=True)
class Limit:
    """When to stop: after ``rounds``, or else after ``seconds`` and at least MIN_ROUNDS rounds."""

    rounds: int | None = None
    seconds: float = 20.0

    def share(self, done: int, elapsed: float) -> float:
        """Share that is done, 0 to 1."""
        if self.rounds is not None:
            return min(1.0, done / self.rounds)
        return min(1.0, elapsed / self.seconds, done / MIN_ROUNDS)


@dataclass(frozen=True)
class Probe:
    """measure: runs once and returns milliseconds, or None without a result this time."""

    name: str
    measure: Callable[[], float | None]


def timed(call: Callable[[], object], synchronise: Callable[[], None]) -> Callable[[], float]:
    """Times ``call``. synchronise: waits until the device is idle."""

    def measure() -> float:
        synchronise()
        began = time.perf_counter()
        call()
        synchronise()
        return 1e3 * (time.perf_counter() - began)

    return measure


def time_in_rounds(
    probes: Sequence[Probe], limit: Limit, what: str = "", on_round: RoundCallback | None = None
) -> list[Timing]:
    """Measures all probes one after another in each round, so that other load affects all alike.

    The first WARM_UPS rounds do not count. ``on_round(what, share)`` is called after each round.

    Returns:
        One Timing for each probe, in their order.
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
        if on_round:
            on_round(what, limit.share(done, time.perf_counter() - began))
    return [Timing(tuple(samples)) for samples in kept]
