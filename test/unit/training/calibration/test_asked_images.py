"""Names asked of labelled images, their answers, and thresholds by them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from small_models import pipeline_of

from perception_contrast.segmentation.calibration import FEATURES
from perception_contrast.segmentation.place_level import absent_names
from perception_contrast.segmentation.regions.region import Region
from perception_contrast_training.calibration.asked_images import (
    FEW,
    MANY,
    Asked,
    labelled_images,
    photograph_count,
    photographs,
    vocabularies,
)
from perception_contrast_training.calibration.fitting import platt
from perception_contrast_training.calibration.judged_regions import (
    JudgedRegions,
    judged_at,
    precision_and_recall,
    threshold_for_precision,
)
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.household.labelled import LabelledFolder
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


def folder_of(folder: Path, classes: str, labels: np.ndarray, images: int = 2) -> LabelledFolder:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    (folder / "classes.txt").write_text(classes)
    for number in range(images):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), np.zeros((*labels.shape, 3), np.uint8))
        cv2.imwrite(str(folder / "labels" / f"{number}.png"), labels)
    return LabelledFolder(folder, Skipped())


def test_a_folder_is_asked_for_its_names_among_others_that_its_labels_rule_out(tmp_path: Path) -> None:
    labels = np.full((60, 80), 255, np.uint8)
    labels[:, :50], labels[:2, 70:72] = 0, 2
    folder = folder_of(tmp_path / "mine", "sofa\nflange\ntable\n", labels)
    for image in labelled_images(folder, folder.pairs, 1, 40):
        many, few = image.vocabularies
        by_text = {one.text: one for one in many}
        assert len(by_text) == len(many) == 41 and by_text["sofa"].present and by_text["flange"].absent
        assert "table" not in by_text, "too little of it is seen to say that it is there or not"
        assert {one.text for one in few} <= {"sofa", "flange"}
        others = [one for one in many if one.text not in ("sofa", "flange")]
        assert not {"couch", "settee"} & set(by_text), "another word for what is there"
        assert all((one.truth[:, :50] == Truth.FALSE).all() and one.absent for one in others)
        assert all((one.truth[10:, 60] == Truth.UNKNOWN).all() for one in others)
        assert (by_text["flange"].truth == Truth.FALSE).all(), (
            "the list's own names are labelled wherever they are"
        )
    only_own = next(labelled_images(folder, folder.pairs, 1, 0)).vocabularies[0]
    assert [one.text for one in only_own] == ["sofa"]


def test_labels_that_no_list_knows_rule_out_what_no_robot_meets(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "mine", "flange\ngrommet\n", np.zeros((60, 80), np.uint8))
    many, _ = next(labelled_images(folder, folder.pairs, 1, 30)).vocabularies
    assert {one.text for one in many} - {"flange", "grommet"} <= set(absent_names())
    assert len(many) == 31 and sum(one.present for one in many) == 1


def test_regions_know_how_many_names_were_asked_for(tmp_path: Path) -> None:
    """With a model whose scores are contrasts in a frame; a box of red in a corner, twice."""
    labels = np.full((168, 168), 255, np.uint8)
    labels[:84, :84] = 0
    folder = folder_of(tmp_path / "mine", "red\ngreen\nblue\n", labels)
    for path, _ in folder.pairs:
        pixels = np.full((168, 168, 3), 255, np.uint8)
        pixels[:84, :84] = (20, 20, 230)
        cv2.imwrite(str(path), pixels)
    images = list(labelled_images(folder, folder.pairs, 0, 20))
    pipeline = pipeline_of("colours", short_side=168, max_tokens=2048)
    own = pipeline.frame_search.searcher.calibration
    low, high = judged_at(pipeline, images, [own, replace(own, seed=50.0, low=50.0)])
    assert low.images == high.images == 2 and not len(high.correct), "nothing reaches so high a seed"
    asked = [one for image in images for vocabulary in image.vocabularies for one in vocabulary]
    assert low.present.tolist() == [one.present for one in asked]
    assert low.correct.any() and all(asked[number].text == "red" for number in low.name[low.correct])
    sizes = {"images": {21}, "images, few": {len(image.vocabularies[1]) for image in images}}
    for group in np.unique(low.group):
        names = low.features[low.group == group, FEATURES.index("log_names")]
        assert {round(10**value) for value in names} <= sizes[str(group)]
    assert low.found(np.ones(len(low.correct), bool)) == 1.0
    assert low.found(np.zeros(len(low.correct), bool)) == 0.0


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
