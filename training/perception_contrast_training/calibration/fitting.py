"""Fits of probabilities to scores: Platt's (1999) and isotonic (Zadrozny and Elkan, KDD 2002)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from perception_contrast.core.errors import PerceptionError
from perception_contrast.segmentation.calibration import Calibration

LEAST_REGIONS = 30  # of each kind, right and wrong

Floats = NDArray[np.float64]


def platt(
    features: Floats,
    correct: NDArray[np.bool_],
    steps: int = 50,
    sample_weights: Floats | None = None,
) -> tuple[tuple[float, ...], float]:
    """Logistic regression by Newton steps with a little ridge.

    Args:
        features: (n, k).
        correct: (n,).
        steps: Of Newton's method.
        sample_weights: (n,) how much each counts; None: alike.

    Returns:
        Weights, and the offset.
    """
    counts = np.ones(len(features)) if sample_weights is None else sample_weights
    x = np.column_stack([features, np.ones(len(features))])
    w = np.zeros(x.shape[1])
    for _ in range(steps):
        p = expit(x @ w)
        gradient = x.T @ (counts * (p - correct)) + 1e-2 * w
        hessian = (x * (counts * p * (1 - p))[:, None]).T @ x + 1e-2 * np.eye(len(w))
        w -= np.linalg.solve(hessian, gradient)
    return tuple(w[:-1].tolist()), float(w[-1])


def isotonic(
    score: Floats, correct: NDArray[np.bool_], sample_weights: Floats | None = None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots of the monotone map from score (n,) to probability that fits best by weighted least squares."""
    from sklearn.isotonic import IsotonicRegression

    fit = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(
        score, correct, sample_weight=sample_weights
    )
    return tuple(fit.X_thresholds_.tolist()), tuple(fit.y_thresholds_.tolist())


def fitted(
    base: Calibration,
    features: Floats,
    correct: NDArray[np.bool_],
    method: str,
    sample_weights: Floats | None = None,
) -> Calibration:
    """``base`` with other probabilities; its levels stay.

    Args:
        base: With the levels.
        features: (n, k).
        correct: (n,).
        method: "platt", or "isotonic" on top of that.
        sample_weights: (n,) how much each counts; None: alike.

    Raises:
        PerceptionError: There is too little to fit to.
    """
    right, wrong = int(correct.sum()), int((~correct).sum())
    if min(right, wrong) < LEAST_REGIONS:
        raise PerceptionError(
            f"{right} regions are right and {wrong} wrong; a fit needs {LEAST_REGIONS} of each: "
            "give more images, or names of things that are not in them"
        )
    weights, offset = platt(features, correct, sample_weights=sample_weights)
    new = replace(base, weights=weights, offset=offset, knots=((), ()))
    return (
        replace(new, knots=isotonic(new.score(features), correct, sample_weights))
        if method == "isotonic"
        else new
    )
