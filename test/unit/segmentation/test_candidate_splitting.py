"""Which regions are split into instances."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from perception_contrast.segmentation.instances.candidate_splitting import SPLIT_FROM, split_candidates
from perception_contrast.segmentation.regions.candidate import Candidate
from perception_contrast.segmentation.regions.region import Region


def candidate(probability: float) -> Candidate:
    region = Region((0, 0, 4, 4), np.ones((4, 4), bool), 2.0, 1.0, 0.1)
    return Candidate(0, region, np.ones(3, np.float32), "m@1", 0.3, (0.0,) * 5, probability, 0.1)


@pytest.mark.parametrize(
    ("probability", "parts", "reports"),
    [
        (SPLIT_FROM - 0.01, (0.2, 0.2), 1),
        (SPLIT_FROM, (0.2, 0.2), 2),
        (0.9, (0.2, 0.2), 2),
        (0.9, (0.2, 0.05), 1),
        (0.9, (0.05, 0.05), 1),
    ],
)
def test_a_region_is_split_from_even_odds_on_into_parts_that_would_be_published_by_themselves(
    probability: float, parts: tuple[float, ...], reports: int
) -> None:
    def halves(region: Region) -> list[np.ndarray]:
        left = np.zeros((4, 4), bool)
        left[:, :2] = True
        return [left, ~left]

    class Scorer:
        def score(self, regions: list[Any], context: object) -> list[Candidate]:
            return [candidate(part) for part in parts]

    maps = {0: SimpleNamespace(coarse=np.zeros((4, 4)), slices=lambda box: np.s_[0:4, 0:4])}
    found = split_candidates(
        [candidate(probability)], cast(Any, maps), cast(Any, halves), cast(Any, Scorer()), cast(Any, None)
    )
    assert len(found) == reports
    assert all(one.probability == pytest.approx(probability) for one in found)
