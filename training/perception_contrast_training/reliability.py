"""How far probabilities are what they say: expected calibration error and the reliability diagram."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast.cache import replacing

BINS = 15

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """Bins of equal width over [0, 1]: means of stated probability and of being right, NaN where empty."""

    stated: Floats
    frequency: Floats
    counts: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean gap, each bin by its share (Guo et al., ICML 2017)."""
        gap = np.nan_to_num(np.abs(self.stated - self.frequency))
        return float((gap * self.counts).sum() / max(int(self.counts.sum()), 1))


def reliability(probability: Floats, correct: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """probability: (n,) in [0, 1]; correct: (n,)."""
    index = np.minimum((probability * bins).astype(int), bins - 1)
    counts = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        stated = np.bincount(index, probability, bins) / counts
        frequency = np.bincount(index, correct.astype(float), bins) / counts
    return Reliability(stated, frequency, counts)


def expected_calibration_error(probability: Floats, correct: NDArray[np.bool_], bins: int = BINS) -> float:
    """Mean gap between stated and actual frequency over equal-width bins (Guo et al., 2017)."""
    return reliability(probability, correct, bins).error


def draw_reliability(path: Path, title: str, curves: Mapping[str, Reliability]) -> None:
    """The reliability diagram of each fit over the counts of its bins, as a picture by the path's suffix."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 6.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot([0, 1], [0, 1], color="grey", linestyle=":", label="as stated")
    for name, one in curves.items():
        held = one.counts > 0
        label = f"{name}, error {one.error:.3f}"
        upper.plot(one.stated[held], one.frequency[held], marker="o", markersize=4, label=label)
        lower.stairs(one.counts, np.linspace(0, 1, len(one.counts) + 1))
    upper.set(title=title, ylabel="share of regions that are right", ylim=(-0.02, 1.02))
    upper.legend(loc="upper left")
    lower.set(xlabel="stated probability", ylabel="regions", xlim=(0, 1))
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".") or "png", dpi=120)
