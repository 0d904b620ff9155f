"""Names asked of labelled images, their answers, and thresholds by them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from perception_contrast.segmentation.regions.region import Region
from perception_contrast_training.calibration.asked_images import (
    FEW,
    MANY,
    Asked,
    photograph_count,
    photographs,
    vocabularies,
)
from perception_contrast_training.calibration.fitting import platt
from perception_contrast_training.calibration.judged_regions import (
    JudgedRegions,
    precision_and_recall,
    threshold_for_precision,
)
from perception_contrast_training.household.training_sets import open_training_sets
from perception_contrast_training.photographs.naming import Truth

SIZE = (40, 60)


def region(box: tuple[int, int, int, int]) -> Region:
    x0, y0, x1, y1 = box
    mask = np.ones((y1 - y0, x1 - x0), bool)
    return Region(box, mask, 1.0, 1.0, mask.size / (SIZE[0] * SIZE[1]))


def asked(text: str = "mug", *, exact: bool = False) -> Asked:
    """True on the left third, unknown on the middle one, false on the right one."""
    truth = np.full(SIZE, Truth.FALSE, np.int8)
    truth[:, :20], truth[:, 20:40] = Truth.TRUE, Truth.UNKNOWN
    return Asked(text, truth, exact)


def absent(text: str) -> Asked:
    return Asked(text, np.zeros(SIZE, np.int8), exact=False)


def test_a_region_is_judged_by_what_is_known_of_it() -> None:
    one = asked()
    assert one.judged(region((2, 5, 18, 30)), SIZE) is True
    assert one.judged(region((45, 5, 58, 30)), SIZE) is False
    assert one.judged(region((22, 5, 38, 30)), SIZE) is None, "nothing is known there"
    assert one.judged(region((10, 0, 30, 40)), SIZE) is True, "half unknown, the known half is true"
    assert one.judged(region((2, 5, 18, 15)), (20, 60)) is True, "in a map of other size"


def test_an_exact_outline_has_to_overlap() -> None:
    one = asked(exact=True)
    assert one.judged(region((0, 0, 20, 40)), SIZE) is True
    assert one.judged(region((0, 0, 5, 40)), SIZE) is False, "a quarter of it"
    assert one.judged(region((0, 0, 45, 40)), SIZE) is False, "more than twice as large"


def test_a_small_vocabulary_is_half_there_and_the_large_one_is_whole() -> None:
    names = [asked(f"there {k}") for k in range(8)] + [absent(f"absent {k}") for k in range(60)]
    rng = np.random.default_rng(0)
    sizes, shares = [], []
    for _ in range(300):
        many, few = vocabularies(names, rng)
        assert list(many) == names and len({one.text for one in few}) == len(few) <= FEW
        sizes.append(len(few))
        shares.append(np.mean([one.present for one in few]))
    assert min(sizes) == 1 and max(sizes) > 18
    assert 0.3 < np.mean(shares) < 0.6


def test_photographs_ask_for_what_is_there_and_for_what_is_not(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "rooms" / "images").mkdir(parents=True)
    (tmp_path / "rooms" / "labels").mkdir()
    (tmp_path / "rooms" / "classes.txt").write_text("chair\ntable\nlamp\n")
    labels = np.full((60, 80), 255, np.uint8)
    labels[:, :30], labels[:, 40:] = 0, 1
    for number in range(60):
        cv2.imwrite(str(tmp_path / "rooms" / "images" / f"{number:02}.png"), np.zeros((60, 80, 3), np.uint8))
        cv2.imwrite(str(tmp_path / "rooms" / "labels" / f"{number:02}.png"), labels)
    source = tmp_path / "rooms"
    for name in ("rooms", "rooms2", "rooms3", "rooms4"):
        source = source.rename(tmp_path / name)
        sets = open_training_sets([str(source)], [])
        if sets.keys(source, "calibration"):
            break
    found = list(photographs(sets, 1))
    assert found and len(found) == len(sets.keys(source, "calibration")) == photograph_count(sets)
    assert len(list(photographs(sets, 1, most=1))) == 1
    by_text = {one.text: one for one in found[0].vocabularies[0]}
    assert by_text["chair"].present and by_text["table"].present and not by_text["lamp"].present
    assert (by_text["lamp"].truth == Truth.FALSE).mean() > 0.8
    assert 20 < len(by_text) <= MANY + 2, "names of other sets are asked for too"
    parts = [set(sets.keys(source, part)) for part in ("train", "calibration", "test")]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 60


def test_the_threshold_is_the_lowest_at_which_every_group_is_right_often_enough() -> None:
    rng = np.random.default_rng(0)
    chance = rng.uniform(0, 1, 4000)
    group = np.where(rng.random(4000) < 0.5, "rooms", "photographs")
    # Photographs are right less often than their probability says.
    right = rng.random(4000) < np.where(group == "rooms", chance, chance * 0.8)
    regions = JudgedRegions(np.zeros((4000, 1)), right, group.astype(np.str_))
    found = threshold_for_precision(chance, regions, 0.6)
    shown = precision_and_recall(chance, regions, found)
    assert min(one["precision"] for one in shown.values()) == pytest.approx(0.6, abs=0.02)
    assert shown["rooms"]["precision"] > shown["photographs"]["precision"]
    assert threshold_for_precision(chance, regions, 0.3) < found
    wrong = JudgedRegions(np.zeros((4000, 1)), np.zeros(4000, bool), group.astype(np.str_))
    assert threshold_for_precision(chance, wrong, 0.6) == 0.9, "no threshold is good enough"


def test_groups_count_alike_in_a_fit() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(0, 1, (900, 3))
    correct = rng.random(900) < 1 / (1 + np.exp(-features @ [1.0, -0.5, 0.0]))
    group = np.array(["rooms"] * 800 + ["photographs"] * 100, dtype=np.str_)
    weights = JudgedRegions(features, correct, group).weights
    assert weights[:800].sum() == pytest.approx(weights[800:].sum()) and weights.mean() == pytest.approx(1)
    found, offset = platt(features, correct, sample_weights=weights)
    reference = LogisticRegression(C=100.0).fit(features, correct, sample_weight=weights)
    assert np.allclose(found, reference.coef_[0], atol=1e-3)
    assert offset == pytest.approx(reference.intercept_[0], abs=1e-3)
