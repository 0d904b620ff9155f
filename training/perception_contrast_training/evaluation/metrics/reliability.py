"""How far stated probabilities can be trusted (Guo et al., "On Calibration of Modern Networks", 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Bins of equal width. counts (bins,) int64; stated: mean probability, actual: share that was right,
    (bins,) float64, nan in empty bins; error: the expected calibration error, nan without any case."""

    counts: NDArray[np.int64]
    stated: NDArray[np.float64]
    actual: NDArray[np.float64]
    error: float


def reliability(
    probability: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = BINS
) -> Reliability:
    """probability (n,) in [0, 1] and whether each case was right (n,)."""
    index = np.minimum((probability * bins).astype(int), bins - 1)
    counts = np.bincount(index, minlength=bins)
    filled = np.where(counts > 0, counts, np.nan)
    stated = np.bincount(index, probability, minlength=bins) / filled
    actual = np.bincount(index, correct.astype(float), minlength=bins) / filled
    gaps = np.nansum(counts * np.abs(stated - actual))
    error = float(gaps / len(probability)) if len(probability) else float("nan")
    return Reliability(counts.astype(np.int64), stated, actual, error)


def expected_calibration_error(
    probability: NDArray[np.float64], correct: NDArray[np.bool_], bins: int = BINS
) -> float:
    """Mean gap between stated and actual frequency over bins of equal width."""
    return reliability(probability, correct, bins).error
