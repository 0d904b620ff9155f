"""Times several calls in alternating rounds, and summarises their times."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binom

WARM_UPS = 3
MIN_ROUNDS = 5
# Threads of the libraries go on spinning for a while after a call; the next one is not to pay for it.
PAUSE = 0.01
QUANTILES = (50, 95, 99)
CONFIDENCE = 0.95
# Rounds may go on for this many times the limit while figures are not steady.
PATIENCE = 4

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

    @property
    def longest(self) -> Limit:
        """The limit of rounds that wait for steady figures; a number of rounds that was given stays."""
        return self if self.rounds is not None else replace(self, seconds=PATIENCE * self.seconds)


def ratios(theirs: Timing, ours: Timing) -> Timing:
    """Theirs over ours, round by round; both were measured in the same rounds."""
    return Timing(tuple(a / b for a, b in zip(theirs.samples, ours.samples, strict=True)))


def median_uncertainty(samples: Sequence[float]) -> float | None:
    """Half the width of the median's 95 % confidence interval, as a share of the median.

    The interval's ends are order statistics, so it assumes no distribution. None with too few samples for
    such an interval (fewer than six).
    """
    count = len(samples)
    # Samples that may lie beyond either end of the interval.
    below = int(binom.ppf((1 - CONFIDENCE) / 2, count, 0.5)) - 1 if count else -1
    if below < 0:
        return None
    ordered = np.sort(np.asarray(samples))
    half = (ordered[count - 1 - below] - ordered[below]) / 2
    return float(half / abs(np.median(ordered)))


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
    probes: Sequence[Probe],
    limit: Limit,
    what: str = "",
    on_round: RoundCallback | None = None,
    steady: Callable[[Sequence[Timing]], bool] | None = None,
) -> list[Timing]:
    """Measures all probes one after another in each round, so that other load affects all alike.

    The first WARM_UPS rounds do not count.

    Args:
        probes: what is measured.
        limit: how many rounds there are and how long they may take.
        what: what is measured, in words, for ``on_round``.
        on_round: called as ``on_round(what, share)`` after each round.
        steady: whether the timings so far are good enough; until they are, rounds go on past the limit,
            up to ``limit.longest``.

    Returns:
        One Timing for each probe, in their order.
    """
    kept: list[list[float]] = [[] for _ in probes]
    for _ in range(WARM_UPS):
        for probe in probes:
            probe.measure()
    done, began = 0, time.perf_counter()
    while _goes_on(limit, done, time.perf_counter() - began, kept, steady):
        for samples, probe in zip(kept, probes, strict=True):
            time.sleep(PAUSE)
            took = probe.measure()
            if took is not None:
                samples.append(took)
        done += 1
        if on_round:
            on_round(what, limit.share(done, time.perf_counter() - began))
    return [Timing(tuple(samples)) for samples in kept]


def _goes_on(
    limit: Limit,
    done: int,
    elapsed: float,
    kept: Sequence[Sequence[float]],
    steady: Callable[[Sequence[Timing]], bool] | None,
) -> bool:
    if limit.share(done, elapsed) < 1.0:
        return True
    if steady is None or limit.longest.share(done, elapsed) >= 1.0:
        return False
    return not steady([Timing(tuple(samples)) for samples in kept])
