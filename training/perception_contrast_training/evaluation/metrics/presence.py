"""Is there an X? How many absent names are reported where present ones are found."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def reported(scores: Sequence[float], threshold: float) -> float:
    """Share of names whose best score reaches the threshold; a score of 0 means that nothing was found."""
    values = np.asarray(scores, float)
    return float(np.mean((values >= threshold) & (values > 0))) if len(values) else float("nan")


def threshold_for(present: Sequence[float], recall: float) -> float | None:
    """Highest threshold at which at least ``recall`` of the present names are reported.

    None where no threshold reaches it, because nothing at all was found for too many of them.
    """
    values = np.sort(np.asarray(present, float))[::-1]
    # The margin is for products such as 0.9 * 10 that come out a hair above the whole number.
    needed = math.ceil(recall * len(values) - 1e-9)
    if not len(values) or needed < 1 or values[needed - 1] <= 0:
        return None
    return float(values[needed - 1])


def operating_curve(
    present: Sequence[float], absent: Sequence[float], points: int = 51
) -> list[tuple[float, float, float]]:
    """(threshold, share of present names reported, share of absent names reported) over [0, 1]."""
    return [(float(t), reported(present, t), reported(absent, t)) for t in np.linspace(0, 1, points)]
