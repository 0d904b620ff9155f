"""Probabilities come true."""

from __future__ import annotations

import numpy as np
import torch

from perception_contrast_training.heads.calibrating import (
    best_threshold,
    fitted_calibration,
    fitted_temperature,
    folds,
)


def test_a_probability_of_a_half_is_right_half_the_time() -> None:
    draws = np.random.default_rng(0)
    scores = draws.uniform(0.02, 0.6, 4000)
    correct = draws.random(4000) < scores**2  # over-confident: a score of .5 is right a quarter of the time
    probabilities = fitted_calibration(scores, correct)(scores)
    for low in np.arange(0.0, 0.4, 0.1):
        bin_ = (probabilities >= low) & (probabilities < low + 0.1)
        if bin_.sum() > 100:
            assert abs(correct[bin_].mean() - probabilities[bin_].mean()) < 0.06
    assert abs(correct.mean() - probabilities.mean()) < 0.01


def test_calibration_keeps_the_order_of_scores() -> None:
    scores = np.random.default_rng(1).uniform(0, 1, 300)
    calibrated = fitted_calibration(scores, scores > 0.7)
    ordered = calibrated(np.linspace(0.001, 0.999, 200))
    assert (np.diff(ordered) >= 0).all() and len(np.unique(ordered)) > 150


def test_nothing_to_fit_to_leaves_scores_as_they_are() -> None:
    scores = np.array([0.1, 0.9])
    np.testing.assert_allclose(fitted_calibration(scores, np.array([True, True]))(scores), scores)


def test_the_threshold_with_the_best_f1() -> None:
    probabilities, correct = np.array([0.9, 0.8, 0.3, 0.2]), np.array([True, True, False, False])
    assert 0.3 < best_threshold(probabilities, correct, 2) <= 0.8


def test_a_temperature_undoes_a_scale() -> None:
    draws = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 3, generator=draws) * 2
    targets = torch.multinomial(logits.softmax(1), 1, generator=draws)[:, 0]
    assert abs(fitted_temperature(logits * 3, targets) - 3.0) < 0.3


def test_each_frame_is_kept_back_once() -> None:
    split = folds(10, 3, 0)
    assert sorted(index for _, kept in split for index in kept) == list(range(10))
    assert all(not set(used) & set(kept) for used, kept in split)
