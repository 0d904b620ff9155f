"""Intervals of the guard's figures, beside numbers by hand, SciPy's bootstrap and chance itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast_training.evaluation.metrics.paired_change import fewest_images, paired_change


def pairs(kept: int, lost: int, won: int, wrong: int) -> tuple[Tensor, Tensor]:
    """Right or wrong before and after, of so many images each."""
    cells = [(1, 1)] * kept + [(1, 0)] * lost + [(0, 1)] * won + [(0, 0)] * wrong
    before, after = torch.tensor(cells, dtype=torch.float64).T
    return before, after


def test_the_interval_is_agrestis_and_mins() -> None:
    """Their formula, over the table with a half in each cell: 100 images, of which 9 lost and 4 won."""
    found = paired_change(*([one] for one in pairs(70, 9, 4, 17)), loss=0.02)
    n, lost, won = 102, 9.5, 4.5
    middle = (won - lost) / n
    half = 1.959964 * math.sqrt((lost + won) - (won - lost) ** 2 / n) / n
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half), abs=1e-7)
    assert found.held == 100 and not found.enough


def test_it_is_scipys_bootstrap_where_there_are_many() -> None:
    stats = pytest.importorskip("scipy.stats")
    before, after = pairs(1400, 130, 100, 370)
    found = paired_change([before], [after], loss=0.02)
    change = (after - before).numpy()
    expected = stats.bootstrap(
        (change,), np.mean, confidence_level=0.95, method="percentile", n_resamples=4000,
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1.5e-3)


@pytest.mark.parametrize("count", [10, 40, 200])
def test_it_holds_the_true_change_in_95_of_100_draws(count: int) -> None:
    chance = np.random.default_rng(count)
    draws: NDArray[np.float64] = chance.choice([-1.0, 0.0, 1.0], p=[0.15, 0.75, 0.1], size=(2000, count))
    held = 0
    for row in torch.from_numpy(draws):
        found = paired_change([torch.zeros(count)], [row], loss=0.02)
        held += found.low <= -0.05 <= found.high
    assert 0.93 < held / 2000 <= 1.0


def test_as_many_as_are_needed_are_enough() -> None:
    """The same shares of images, at the told count, give half an interval of the loss."""
    loss = 0.016
    few = paired_change(*([one] for one in pairs(60, 5, 5, 30)), loss=loss)
    # By hand, for many images: z^2 * (share that changed) / loss^2.
    assert few.needed == pytest.approx(1.96**2 * 0.1 / loss**2, rel=0.01) and not few.enough
    times = few.needed // 20 + 1
    many = paired_change(*([one] for one in pairs(12 * times, times, times, 6 * times)), loss=loss)
    assert many.enough and (many.high - many.low) / 2 <= loss
    fewer = paired_change(*([one[: few.needed - 100]] for one in _mixed(few.needed)), loss=loss)
    assert not fewer.enough


def _mixed(count: int) -> tuple[Tensor, Tensor]:
    before, after = pairs(12, 1, 1, 6)
    return before.repeat(count // 20 + 1), after.repeat(count // 20 + 1)


def test_a_few_images_that_did_not_change_are_no_proof() -> None:
    few = paired_change(*([one] for one in pairs(3, 0, 0, 2)), loss=0.02)
    # z / (n + 2), which a bootstrap of five equal changes would call zero.
    assert few.high == -few.low == pytest.approx(1.959964 / 7, abs=1e-6)
    assert few.needed == fewest_images(0.02) == 96  # z / (96 + 2) is the first below 0.02
    same = torch.ones(96)
    assert paired_change([same], [same], loss=0.02).enough


def test_a_mean_of_two_means_counts_the_fewer() -> None:
    """R@1: 200 images share 5 captions."""
    images, captions = pairs(150, 10, 10, 30), pairs(3, 0, 1, 1)
    each = [paired_change([a], [b], loss=0.02) for a, b in (images, captions)]
    both = paired_change([images[0], captions[0]], [images[1], captions[1]], loss=0.02)
    assert both.low == pytest.approx((each[0].low + each[1].low) / 2)
    assert both.held == 5 and both.needed == max(one.needed for one in each)


def test_values_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="2 and 3 values are not pairs"):
        paired_change([torch.ones(2)], [torch.ones(3)], loss=0.02)
