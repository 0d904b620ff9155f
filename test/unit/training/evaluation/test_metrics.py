"""Metrics of the evaluation: against other libraries, or worked by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, jaccard_score, top_k_accuracy_score

from perception_contrast.core.errors import SpaceError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast_training.evaluation.metrics.boundary import boundary_f, outline, tolerance
from perception_contrast_training.evaluation.metrics.coco import CocoFigures
from perception_contrast_training.evaluation.metrics.confusion import ConfusionMatrix
from perception_contrast_training.evaluation.metrics.correspondence import (
    matching_errors,
    pck,
    random_homography,
    warped,
)
from perception_contrast_training.evaluation.metrics.presence import (
    operating_curve,
    reported,
    threshold_for,
)
from perception_contrast_training.evaluation.metrics.propagation import (
    LabelPropagation,
    Protocol,
    labels_of,
    neighbourhood,
    shares_of,
)
from perception_contrast_training.evaluation.metrics.ranking import Ranking
from perception_contrast_training.evaluation.metrics.reliability import reliability
from perception_contrast_training.evaluation.metrics.touching import TouchCounts
from perception_contrast_training.evaluation.metrics.tracking import TrackFigures
from perception_contrast_training.evaluation.result_images import STRIP, WIDTH, WorstCases


def square(top: int, left: int, side: int = 20, size: tuple[int, int] = (100, 100)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[top : top + side, left : left + side] = True
    return mask


# Confusion.


def test_confusion_and_overlap_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truths, guesses = rng.integers(0, 5, (3, 12, 10)), rng.integers(0, 5, (3, 12, 10))
    matrix = ConfusionMatrix(6)
    for truth, guess in zip(truths, guesses, strict=True):
        matrix.add(truth, guess)
    wanted = confusion_matrix(truths.ravel(), guesses.ravel(), labels=range(6))
    assert np.array_equal(matrix.counts[:, :-1], wanted)
    overlap = jaccard_score(truths.ravel(), guesses.ravel(), average=None)
    assert matrix.iou()[:5] == pytest.approx(overlap)
    # The sixth class occurs nowhere and must not lower the mean.
    assert math.isnan(matrix.iou()[5])
    assert matrix.mean_iou() == pytest.approx(overlap.mean())
    assert matrix.accuracy() == pytest.approx((truths == guesses).mean())


def test_one_matrix_over_the_set_is_no_mean_of_images() -> None:
    matrix = ConfusionMatrix(2)
    matrix.add(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 1]))
    matrix.add(np.array([0, 1, 1, 1]), np.array([1, 1, 1, 1]))
    # Class 0: 3 of 4; class 1: 4 of 5. Image by image it would be (1 + 1) / 2 and (0 + 3/4) / 2.
    assert matrix.mean_iou() == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_what_is_ignored_and_what_got_no_class() -> None:
    matrix = ConfusionMatrix(2)
    matrix.add(np.array([0, 0, 1, -1]), np.array([0, -1, 7, 0]))
    assert matrix.counts.tolist() == [[1, 0, 1], [0, 0, 1]]
    assert matrix.iou().tolist() == [0.5, 0.0]
    assert matrix.recall().tolist() == [0.5, 0.0]
    with pytest.raises(ValueError, match="shape"):
        matrix.add(np.zeros(2, int), np.zeros(3, int))


def test_nothing_gives_no_number() -> None:
    assert math.isnan(ConfusionMatrix(3).mean_iou()) and math.isnan(ConfusionMatrix(3).accuracy())


# Boundary.


def test_the_tolerance_of_davis() -> None:
    assert tolerance((480, 854)) == math.ceil(0.008 * math.hypot(480, 854)) == 8
    assert tolerance((100, 100)) == 2


def test_a_square_that_moved_by_the_tolerance_agrees_and_one_that_moved_farther_does_not() -> None:
    truth = square(40, 40)
    assert boundary_f(truth, truth) == 1.0
    assert boundary_f(truth, square(40, 42)) == 1.0
    # Three pixels to the side: only the two horizontal edges, less their ends, stay within two pixels.
    line = outline(truth)
    near = sum(
        (abs(ys - y) ** 2 + abs(xs + 3 - x) ** 2).min() <= 4
        for y, x in zip(*np.nonzero(line), strict=True)
        for ys, xs in [np.nonzero(line)]
    )
    share = near / int(line.sum())
    assert 0.4 < share < 0.6
    assert boundary_f(truth, square(40, 43)) == pytest.approx(share)


def test_outlines_are_those_of_davis_code() -> None:
    # From the rule: a pixel differs from its right, lower or lower right neighbour.
    mask = square(1, 1, 2, (5, 5))
    assert np.argwhere(outline(mask)).tolist() == [
        [0, 0], [0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1], [2, 2],
    ]  # fmt: skip


def test_empty_outlines_and_ignored_ones() -> None:
    empty, truth = np.zeros((100, 100), bool), square(40, 40)
    assert boundary_f(empty, empty) == 1.0
    assert boundary_f(truth, empty) == boundary_f(empty, truth) == 0.0
    assert boundary_f(truth, empty, ignored=square(35, 35, 30)) == 1.0


# Calibration.


def test_bins_by_hand() -> None:
    bins = reliability(np.array([0.05, 0.15, 0.95, 1.0]), np.array([False, True, True, True]), bins=10)
    assert bins.counts.tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert bins.stated[[0, 1, 9]] == pytest.approx([0.05, 0.15, 0.975])
    assert bins.actual[[0, 1, 9]] == pytest.approx([0, 1, 1])
    assert bins.error == pytest.approx((0.05 + 0.85 + 2 * 0.025) / 4)
    assert math.isnan(reliability(np.zeros(0), np.zeros(0, bool)).error)


# Is there an X?


def test_the_threshold_that_finds_nine_of_ten() -> None:
    present = [0.1 * i for i in range(1, 11)]
    threshold = threshold_for(present, 0.9)
    assert threshold == pytest.approx(0.2)
    assert reported(present, threshold) == 0.9
    assert reported([0.0, 0.19, 0.2, 0.9], threshold) == 0.5


def test_names_of_which_nothing_was_found_are_out_of_reach() -> None:
    assert threshold_for([0.0, 0.0, 0.8], 0.9) is None
    assert threshold_for([], 0.9) is None
    # A score of 0 is no report, whatever the threshold.
    assert reported([0.0, 0.0, 0.8], 0.0) == pytest.approx(1 / 3)
    curve = operating_curve([0.5, 0.9], [0.0, 0.6], points=3)
    assert curve == [(0.0, 1.0, 0.5), (0.5, 1.0, 0.5), (1.0, 0.0, 0.0)]


# Things that touch.


def test_two_cups_as_one_and_one_cup_as_two() -> None:
    left, right, far = square(0, 0, 10), square(0, 10, 10), square(50, 50, 10)
    upper, lower = far.copy(), far.copy()
    upper[55:], lower[:55] = False, False
    counts = TouchCounts()
    counts.add([left, right, far], [left | right, upper, lower])
    # The far one was split too, but touches nobody.
    assert (counts.touching, counts.merged, counts.split) == (2, 2, 0)
    counts.add([left, right], [left, square(0, 10, 5), square(0, 15, 5), square(5, 10, 5)])
    assert (counts.touching, counts.merged, counts.split) == (4, 2, 1)


def test_a_report_of_the_whole_table_merges_nothing() -> None:
    counts = TouchCounts()
    counts.add([square(0, 0, 10), square(0, 10, 10)], [np.ones((100, 100), bool)])
    assert (counts.touching, counts.merged, counts.split) == (2, 0, 0)
    counts.add([square(0, 0, 10)], [])
    counts.add([], [square(0, 0, 10)])
    assert counts.touching == 2


# Average precision.


def coco_case() -> CocoFigures:
    figures = CocoFigures(["cup", "plate"])
    figures.add_image((100, 100))
    figures.add_truth("cup", square(0, 0, 40))
    figures.add_truth("cup", square(50, 50, 40))
    figures.add_truth("cup", square(0, 60, 10), ignored=True)
    figures.add_prediction("cup", square(0, 0, 40), 0.9)
    figures.add_prediction("cup", square(50, 5, 20), 0.8)
    figures.add_prediction("cup", square(50, 50, 36), 0.7)
    figures.add_prediction("cup", square(0, 60, 10), 0.6)
    figures.add_image((100, 100))
    figures.add_prediction("plate", square(0, 0, 40), 0.5)
    return figures


def test_average_precision_by_hand() -> None:
    statistics, by_class, matches = coco_case().evaluate("masks")
    # Hits at ranks 1 and 3 of 2 truths: precision 1 up to recall 1/2, then 2/3, at 101 recall points.
    at_half = (51 * 1 + 50 * 2 / 3) / 101
    assert statistics["ap50"] == pytest.approx(at_half)
    # The third overlaps by 0.81: it counts at the 7 thresholds up to 0.8 and not at the 3 above.
    once = 51 / 101
    assert statistics["ap75"] == pytest.approx(at_half)
    assert statistics["ap"] == pytest.approx((7 * at_half + 3 * once) / 10)
    assert by_class == {"cup": pytest.approx(statistics["ap"])}
    assert statistics["ap_small"] is None and statistics["ap_large"] is None
    assert statistics["ap_medium"] == pytest.approx(statistics["ap"], abs=0.2)
    assert sorted(zip(matches.probability.tolist(), matches.correct.tolist(), strict=True)) == [
        (0.5, False), (0.7, True), (0.8, False), (0.9, True),
    ]  # fmt: skip


def test_average_precision_is_that_of_pycocotools_from_files(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    figures = coco_case()
    ours, _, _ = figures.evaluate("boxes")
    truth = {"info": {}, "images": figures.images, "annotations": figures.truths}
    truth["categories"] = [{"id": 1, "name": "cup"}, {"id": 2, "name": "plate"}]
    for entry in (*figures.truths, *figures.predictions):
        entry["segmentation"] = None
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    results = [
        {key: one[key] for key in ("image_id", "category_id", "bbox", "score")} for one in figures.predictions
    ]
    (tmp_path / "found.json").write_text(json.dumps(results))
    loaded = coco.COCO(str(tmp_path / "truth.json"))
    evaluation = cocoeval.COCOeval(loaded, loaded.loadRes(str(tmp_path / "found.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert [ours[key] for key in ("ap", "ap50", "ap75")] == pytest.approx(evaluation.stats[:3].tolist())


def test_no_report_at_all_is_no_precision() -> None:
    figures = CocoFigures(["cup"])
    figures.add_image((50, 50))
    figures.add_truth("cup", square(0, 0, 20, (50, 50)))
    statistics, by_class, matches = figures.evaluate("masks")
    assert (statistics["ap"], by_class, len(matches.probability)) == (0.0, {"cup": 0.0}, 0)


# Tracks.


def test_a_switch_of_identity_by_hand() -> None:
    figures = TrackFigures()
    same = np.eye(2)
    figures.add(["a", "b"], ["1", "2"], same)
    figures.add(["a", "b"], ["1", "2"], same)
    figures.add(["a", "b"], ["2", "1"], same)
    figures.add(["a", "b"], ["2"], np.array([[1.0], [0.0]]))
    found = figures.summary()
    # 8 truths, 1 missed, none false, 2 switches.
    assert (found["id_switches"], found["found"], found["missed"], found["false"]) == (2, 7, 1, 0)
    assert found["mota"] == pytest.approx(1 - 3 / 8)
    # Best identities: a is 1 for two frames or 2 for two; b is 2 for two: 4 right of 8 and of 7.
    assert found["idf1"] == pytest.approx(2 * 4 / (8 + 7))
    assert (found["true_identities"], found["tracks"]) == (2, 2)


def test_ignored_truths_take_what_was_found_on_them_away() -> None:
    figures = TrackFigures()
    figures.add(["a", "small"], ["1", "2", "3"], np.array([[1, 0, 0], [0, 0.8, 0.1]]), [False, True])
    found = figures.summary()
    assert (found["found"], found["missed"], found["false"], found["true_identities"]) == (1, 0, 1, 1)
    assert found["mota"] == 0.0


def test_no_detection_in_any_frame() -> None:
    figures = TrackFigures()
    figures.add(["a"], [], np.zeros((1, 0)))
    assert (figures.summary()["missed"], figures.summary()["idf1"]) == (1, 0.0)


# Ranking.


def test_ranks_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    truths, scores = rng.integers(0, 6, 50), rng.normal(size=(50, 6))
    ranking = Ranking(6, 3)
    for truth, row in zip(truths, scores, strict=True):
        ranking.add(int(truth), row)
    for count in (1, 3):
        wanted = top_k_accuracy_score(truths, scores, k=count, labels=range(6))
        assert ranking.top(count) == pytest.approx(wanted)
    wanted = confusion_matrix(truths, scores.argmax(axis=1), labels=range(6))
    assert np.array_equal(ranking.confusion.counts[:, :-1], wanted)


def test_equal_scores_are_not_right_by_chance() -> None:
    ranking = Ranking(3, 2)
    assert ranking.add(0, np.zeros(3)) == 2
    assert ranking.top(2) == 0.0


# Propagation.


def moving_square(frames: int, side: int = 4, size: int = 16) -> list[np.ndarray]:
    """Features of a thing that moves a cell a frame over a background whose cells differ by place."""
    rng = np.random.default_rng(0)
    ground, thing = rng.normal(size=(size, size, 8)), rng.normal(size=(side, side, 8))
    made = []
    for step in range(frames):
        values = np.concatenate([ground, np.zeros((size, size, 8))], axis=-1)
        values[4 : 4 + side, 2 + step : 2 + step + side, :8] = 0
        values[4 : 4 + side, 2 + step : 2 + step + side, 8:] = thing
        made.append(values.astype(np.float32))
    return made


def test_a_moving_square_is_followed_exactly() -> None:
    frames = moving_square(9)
    first = square(4, 2, 4, (16, 16)).astype(np.int64)
    follow = LabelPropagation(frames[0], shares_of(first, (16, 16), 2), Protocol(neighbours=1))
    for step, values in enumerate(frames[1:], 1):
        shares = follow(values)
        assert shares.sum(axis=-1) == pytest.approx(np.ones((16, 16)), abs=1e-5)
        assert np.array_equal(labels_of(shares, (16, 16)) == 1, square(4, 2 + step, 4, (16, 16)))


def test_what_jumps_out_of_the_neighbourhood_is_lost() -> None:
    frames = moving_square(11)
    first = square(4, 2, 4, (16, 16)).astype(np.int64)
    near = Protocol(radius=3, neighbours=1)
    follow = LabelPropagation(frames[0], shares_of(first, (16, 16), 2), near)
    assert not (labels_of(follow(frames[10]), (16, 16))[4:8, 12:16] == 1).any()


def test_the_neighbourhood_is_a_window() -> None:
    near = neighbourhood((4, 5), 1).reshape(4, 5, 4, 5)
    assert near[1, 1].nonzero().tolist() == [[r, c] for r in range(3) for c in range(3)]
    assert int(near[0, 0].sum()) == 4


def one_step(features: torch.Tensor, known: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """DINO's own way, written out for one cell after another: five neighbours, softmax at 0.1."""
    rows = []
    for cell in torch.nn.functional.normalize(features, dim=-1):
        weights = torch.exp(torch.nn.functional.normalize(known, dim=-1) @ cell / 0.1)
        weights[weights < weights.topk(5).values[-1]] = 0
        rows.append(weights @ labels / weights.sum())
    return torch.stack(rows)


def test_a_step_is_that_of_dino_written_out() -> None:
    rng = torch.Generator().manual_seed(3)
    first, second = (torch.randn(6, 5, 7, generator=rng) for _ in range(2))
    labels = torch.rand(6, 5, 3, generator=rng)
    labels /= labels.sum(-1, keepdim=True)
    found = LabelPropagation(first.numpy(), labels.numpy())(second.numpy())
    wanted = one_step(second.reshape(30, 7), first.reshape(30, 7), labels.reshape(30, 3))
    assert found.reshape(30, 3) == pytest.approx(wanted.numpy(), abs=1e-5)


# Known homographies.


def grid_of_places(shift: int = 0, space: str = "a@1") -> FeatureGrid:
    """Cells of 10 pixels, each with features of its own, seen ``shift`` columns to the left."""
    values = np.random.default_rng(5).normal(size=(8, 20, 16)).astype(np.float32)[:, shift : shift + 10]
    return FeatureGrid(values, "a", space, GridToImage.of_resize((80, 100), (8, 10)), (80, 100))


def test_the_same_image_and_a_moved_one_are_found_exactly() -> None:
    assert pck(matching_errors(grid_of_places(), grid_of_places(), np.eye(3))) == {
        "pck@0.05": 1.0,
        "pck@0.1": 1.0,
    }
    moved = np.array([[1.0, 0, -30], [0, 1, 0], [0, 0, 1]])
    errors = matching_errors(grid_of_places(), grid_of_places(3), moved)
    assert len(errors) == 8 * 7 and errors.max() == pytest.approx(0.0, abs=1e-9)
    wrong = matching_errors(grid_of_places(), grid_of_places(3), np.eye(3))
    assert pck(wrong)["pck@0.1"] < 0.2
    assert np.isclose(wrong, 0.3).sum() >= 8 * 7
    with pytest.raises(SpaceError):
        matching_errors(grid_of_places(), grid_of_places(space="b@1"), np.eye(3))


def test_random_homographies_show_the_inside_of_the_image() -> None:
    rng = np.random.default_rng(0)
    image = np.full((60, 80, 3), 200, np.uint8)
    for _ in range(10):
        homography = random_homography(rng, (60, 80))
        assert warped(image, homography)[1:-1, 1:-1].min() == 200
        corners = np.linalg.inv(homography) @ np.array([[0, 79, 79, 0], [0, 0, 59, 59], [1, 1, 1, 1]])
        x, y = corners[:2] / corners[2]
        assert x.min() >= -1e-3 and x.max() <= 79.001 and y.min() >= -1e-3 and y.max() <= 59.001


@pytest.mark.parametrize("size", [(240, 20), (9, 7), (20, 240), (2000, 1500)])
def test_an_image_of_any_shape_takes_no_more_than_a_square_of_the_sheet(size: tuple[int, int]) -> None:
    worst = WorstCases()
    worst.add(0.0, "tall", [np.full((*size, 3), level, np.uint8) for level in (40, 80, 120)])
    sheet = worst.sheet()
    assert sheet is not None and sheet.shape[1] == 3 * WIDTH and sheet.shape[0] <= WIDTH + 2 * STRIP
    for place, level in enumerate((40, 80, 120)):
        assert (sheet[2 * STRIP + 1, place * WIDTH] == level).all(), "each panel begins in its column"
