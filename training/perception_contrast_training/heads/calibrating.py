"""Scores of frames that were kept back, to probabilities that come true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import expit, logit
from torch import Tensor

from perception_contrast.heads.head_card import ScoreCalibration
from perception_contrast_training.calibration.fitting import platt

KNOTS = 65
_LEAST = 1e-4  # of a score, whose logit is taken
_TEMPERATURES = np.geomspace(0.1, 10.0, 121)


def fitted_calibration(scores: NDArray[np.floating], correct: NDArray[np.bool_]) -> ScoreCalibration:
    """Platt's map from the logit of a score to the probability of being right, as knots.

    A sigmoid keeps the order of scores, which an isotonic fit to few frames would make equal.

    Args:
        scores: (n,) in [0, 1].
        correct: (n,).

    Returns:
        The map; scores as they are where all or none are right.
    """
    if not 0 < int(correct.sum()) < len(correct):
        return ScoreCalibration()
    logits = logit(np.clip(scores, _LEAST, 1 - _LEAST))
    (slope,), offset = platt(logits[:, None].astype(np.float64), correct)
    if slope <= 0:  # the scores say nothing: each is as probable as all
        share = float(correct.mean())
        return ScoreCalibration((0.0, 1.0), (share, share))
    knots = expit(np.linspace(logit(_LEAST), logit(1 - _LEAST), KNOTS))
    values = expit(slope * logit(knots) + offset)
    # The ends, so that scores beyond the knots keep their order too.
    ends = (0.0, *knots.tolist(), 1.0), (values[0] * 0.5, *values.tolist(), (1 + values[-1]) / 2)
    return ScoreCalibration(*(tuple(float(one) for one in side) for side in ends))


def best_threshold(
    probabilities: NDArray[np.floating], correct: NDArray[np.bool_], truths: int, default: float = 0.5
) -> float:
    """The probability from which reports have the best F1.

    Args:
        probabilities: (n,) of reports.
        correct: (n,).
        truths: Things that were there.
        default: Where nothing can be said.
    """
    if not truths or not correct.any():
        return default
    order = np.argsort(-probabilities, kind="stable")
    hits = np.cumsum(correct[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + truths)
    best = float(probabilities[order][int(np.argmax(f1))])
    return float(np.clip(best - 1e-4, 0.02, 0.98))


def fitted_temperature(logits: Tensor, targets: Tensor, *, several: bool = False) -> float:
    """The divisor of logits (n, k) under which held-out labels are least surprising (Guo et al., ICML 2017).

    Args:
        logits: (n, k).
        targets: (n,) index of the class, or (n, k) 0 or 1 where ``several``.
        several: Each class by itself.
    """
    if not len(logits):
        return 1.0
    losses = []
    for temperature in _TEMPERATURES:
        scaled = logits.float() / float(temperature)
        loss = (
            F.binary_cross_entropy_with_logits(scaled, targets.float())
            if several
            else F.cross_entropy(scaled, targets)
        )
        losses.append(float(loss))
    return float(_TEMPERATURES[int(np.argmin(losses))])


def folds(count: int, parts: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """(trained on, kept back) indices of each of some folds; each frame is kept back once.

    Args:
        count: Of frames.
        parts: Of folds.
        seed: Of the order.
    """
    order = np.random.default_rng(seed).permutation(count)
    kept: Sequence[NDArray[np.int64]] = np.array_split(order, min(parts, count))
    return [
        (sorted(set(range(count)) - set(part.tolist())), sorted(part.tolist())) for part in kept if len(part)
    ]
