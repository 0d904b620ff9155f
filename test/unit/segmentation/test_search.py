"""Masks and boxes of painted grids: they must lie where the cells were painted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception_contrast.core.errors import SpaceError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.core.vocabulary import UNLABELLED, Exemplar, Query, Vocabulary
from perception_contrast.segmentation.calibration import FEATURES, Calibration
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.scoring.exemplar_scorer import ExemplarScorer
from perception_contrast.segmentation.scoring.sigmoid_scorer import SigmoidScorer
from perception_contrast.segmentation.search_result import SearchResult
from perception_contrast.segmentation.search_settings import SearchSettings
from perception_contrast.segmentation.searcher import Searcher
from perception_contrast.segmentation.searcher_factory import assemble_searcher

A, B, NOTHING = np.eye(4, dtype=np.float32)[:3]
# A region's probability is the logistic of its mean logit; it ends where the logit is zero.
BY_MEAN = Calibration(tuple(float(f == "mean") for f in FEATURES), seed=0.5, low=0.0, detection=0.5)


def searcher(**more: object) -> Searcher:
    options = {"text_space": "w@1", "exemplar_space": "w@1", "neutral": np.stack([NOTHING]), **more}
    return assemble_searcher(SigmoidScorer((4.0, 4.0), (-2.0, -2.0)), BY_MEAN, **options)


def grid_of(
    cells: dict[tuple[int, int], np.ndarray], shape: tuple[int, int], size: tuple[int, int]
) -> FeatureGrid:
    values = np.tile(NOTHING, (*shape, 1))
    for cell, vector in cells.items():
        values[cell] = vector
    return FeatureGrid(values, "w", "w@1", GridToImage.of_resize(size, shape), size, normalized=True)


def asked(*queries: Query) -> PreparedQueries:
    rows = {"a": A, "b": B}
    words = tuple(np.array([rows[t] for t in q.texts()], np.float32).reshape(-1, 4) for q in queries)
    return PreparedQueries(Vocabulary().with_queries(queries), words)


def found_in(
    grid: FeatureGrid, prepared: PreparedQueries, image: np.ndarray | None = None, **settings: object
) -> SearchResult:
    source_image = np.zeros((*grid.image_size, 3), np.uint8) if image is None else image
    options = SearchSettings(**{"refine": False, "min_region_share": 0.0, **settings})
    return searcher().find(source_image, grid, None, prepared, options)


def in_whole(found: SearchResult, index: int = 0) -> np.ndarray:
    """A detection's mask in its image."""
    one = found.detections[index]
    x0, y0, x1, y1 = one.box
    assert one.mask.shape == (y1 - y0, x1 - x0) and one.mask.any(0).all() and one.mask.any(1).all()
    whole = np.zeros(found.masks.shape, bool)
    whole[y0:y1, x0:x1] = one.mask
    return whole


SIZES = [((6, 10), (90, 160)), ((6, 10), (480, 640)), ((27, 36), (1500, 2003)), ((36, 20), (1999, 1100)),
         ((4, 60), (50, 3000)), ((5, 7), (5, 7)), ((40, 40), (123, 77))]  # fmt: skip


@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_a_cells_mask_lies_where_the_cell_is(shape: tuple[int, int], size: tuple[int, int]) -> None:
    """Bilinear logits fall from 2 to -2 over one cell and cross zero at its edges."""
    place = GridToImage.of_resize(size, shape)
    step = max(1.0, max(size) / 640)  # regions are cut out at 640 pixels at most
    for cell in ((0, 0), (shape[0] // 2, shape[1] // 3), (shape[0] - 1, shape[1] - 1)):
        found = found_in(grid_of({cell: A}, shape, size), asked(Query("a")))
        (one,) = found.detections
        x, y = place.to_image(cell[1], cell[0])
        edges = (x - place.sx / 2, y - place.sy / 2, x + place.sx / 2, y + place.sy / 2)
        # A box goes along the edges of pixels, half a pixel before their centres.
        expected = np.array(edges) + 0.5
        tight = 0.75 if step == 1.0 else 0.75 + step
        off = np.abs(np.array(one.box) - expected)
        assert (off <= tight).all(), (one.box, expected)
        assert np.array_equal(in_whole(found), found.masks == 1)
        assert found.masks.shape == size and found.masks.dtype == np.uint16


def test_masks_boxes_and_label_images_take_the_same_pixels() -> None:
    rng = np.random.default_rng(0)
    for size in ((700, 1277), (333, 999), (641, 640), (2000, 31)):
        cells = {(int(r), int(c)): A for r, c in rng.integers(0, (14, 18), (30, 2))}
        found = found_in(grid_of(cells, (14, 18), size), asked(Query("a")))
        together = np.zeros(size, bool)
        for index, one in enumerate(found.detections):
            together |= in_whole(found, index)
            assert 0 <= one.box[0] < one.box[2] <= size[1] and 0 <= one.box[1] < one.box[3] <= size[0]
        assert np.array_equal(together, found.masks == 1) and together.any()


def test_each_query_gets_its_own_number_and_nothing_the_last() -> None:
    cells = {(1, 1): A, (4, 8): B}
    found = found_in(grid_of(cells, (6, 10), (60, 100)), asked(Query("b"), Query("a")))
    assert found.masks[15, 15] == 2 and found.masks[45, 85] == 1 and found.masks[30, 50] == UNLABELLED
    for one in found.detections:
        vector = {"a": A, "b": B}[one.label]
        assert one.scores.cosine == pytest.approx(one.embedding @ vector, abs=1e-6)
        assert one.scores.relevancy == pytest.approx(
            1 / (1 + np.exp(-10 * (one.scores.cosine - one.embedding @ NOTHING))), abs=1e-6
        )
        assert 0 <= one.scores.probability <= 1 and one.space == "w@1"


def test_the_stronger_of_two_queries_takes_the_pixel() -> None:
    between = (0.9 * A + 0.44 * B) / np.linalg.norm(0.9 * A + 0.44 * B)
    near_b = (A + B) / np.sqrt(2)
    values = {(2, 2): between, (2, 3): between}
    first = PreparedQueries(Vocabulary().with_queries([Query("b"), Query("a")]), (near_b[None], A[None]))
    masks = found_in(grid_of(values, (6, 10), (60, 100)), first).masks
    stronger = 1 if between @ near_b > between @ A else 2
    assert masks[25, 30] == stronger


@pytest.mark.parametrize("refine", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2000, 3), (17, 5)])
def test_odd_images(size: tuple[int, int], refine: bool) -> None:
    values = {(r, c): A for r in range(4) for c in range(4)}
    found = found_in(grid_of(values, (4, 4), size), asked(Query("a")), refine=refine)
    assert (found.masks == 1).all() and found.detections[0].box == (0, 0, size[1], size[0])


def test_refined_masks_end_at_the_images_edges() -> None:
    source_image = np.full((120, 160, 3), 40, np.uint8)
    source_image[33:87, 45:102] = 230
    cells = {(r, c): A for r in range(3, 9) for c in range(4, 10)}  # pixels 30 to 90 and 40 to 100
    grid = grid_of(cells, (12, 16), (120, 160))
    truth = source_image[..., 0] > 100
    coarse, fine = (
        found_in(grid, asked(Query("a")), source_image, refine=r).masks == 1 for r in (False, True)
    )

    def iou(mask: np.ndarray) -> float:
        return (mask & truth).sum() / (mask | truth).sum()

    assert iou(fine) > max(iou(coarse), 0.93)


def test_thresholds_of_query_settings_and_model_in_that_order() -> None:
    grid = grid_of({(2, 2): A, (2, 3): A}, (6, 10), (60, 100))
    (one,) = found_in(grid, asked(Query("a"))).detections
    above, below = min(one.scores.probability + 0.01, 0.999), one.scores.probability - 0.01
    assert not found_in(grid, asked(Query("a")), detection_threshold=above).detections
    assert found_in(grid, asked(Query("a", threshold=below)), detection_threshold=above).detections
    assert not found_in(grid, asked(Query("a", threshold=above)), detection_threshold=below).detections
    wide, narrow = (found_in(grid, asked(Query("a")), mask_threshold=t).masks == 1 for t in (0.5, 0.8))
    assert 0 < narrow.sum() < wide.sum() and not (narrow & ~wide).any()


def test_the_best_come_first_and_no_more_than_allowed() -> None:
    weaker = (A + 0.5 * NOTHING) / np.linalg.norm(A + 0.5 * NOTHING)
    grid = grid_of({(1, 1): weaker, (1, 4): A, (4, 7): weaker}, (6, 10), (60, 100))
    boxes = [one.box for one in found_in(grid, asked(Query("a"))).detections]
    assert len(boxes) == 3 and boxes[0] == (40, 10, 50, 20)
    assert [one.box for one in found_in(grid, asked(Query("a")), max_detections=1).detections] == boxes[:1]


def test_nothing_asked_and_nothing_there() -> None:
    grid = grid_of({(1, 1): A}, (6, 10), (60, 100))
    for prepared in (PreparedQueries(Vocabulary()), asked(Query("b"))):
        found = found_in(grid, prepared)
        assert (found.masks == UNLABELLED).all() and found.detections == ()


def test_a_thousand_queries_find_what_one_finds() -> None:
    grid = grid_of({(1, 1): A}, (6, 10), (60, 100))
    labels = [f"q{n}" for n in range(1000)]
    vectors = tuple((A if n == 777 else B)[None] for n in range(1000))
    prepared = PreparedQueries(Vocabulary().with_queries(map(Query, labels)), vectors)
    found = found_in(grid, prepared)
    assert [one.label for one in found.detections] == ["q777"] and set(np.unique(found.masks)) == {
        778,
        UNLABELLED,
    }


def apart() -> Searcher:
    return searcher(exemplar_space="e@1", exemplar_scorer=ExemplarScorer(), exemplar_calibration=BY_MEAN)


def test_a_thing_shown_in_another_space_is_scored_there() -> None:
    size = (60, 100)
    words = grid_of({(1, 1): A}, (6, 10), size)
    shown_values = np.tile(np.eye(5, dtype=np.float32)[0] * 3, (3, 5, 1))  # raw features need not be unit
    shown_values[2, 4] = np.eye(5)[1] * 7
    examples = FeatureGrid(shown_values, "e", "e@1", GridToImage.of_resize(size, (3, 5)), size)
    query = Query("key", exemplars=(Exemplar(np.eye(5, dtype=np.float32)[1], "e@1"),))
    found = apart().find(
        np.zeros((*size, 3), np.uint8),
        words,
        examples,
        asked(query, Query("a")),
        SearchSettings(refine=False),
    )
    by_label = {one.label: one for one in found.detections}
    assert set(by_label) == {"key", "a"}
    key, word = by_label["key"], by_label["a"]
    assert (key.space, word.space) == ("e@1", "w@1")
    assert key.embedding.shape == (5,) and key.scores.cosine == pytest.approx(key.embedding[1], abs=1e-6)
    assert key.scores.cosine > 0.5 and key.scores.relevancy == key.scores.probability
    assert found.masks[55, 95] == 1 and found.masks[15, 15] == 2


def test_words_and_a_shown_thing_of_one_query_both_find() -> None:
    size = (60, 100)
    words = grid_of({(1, 1): A}, (6, 10), size)
    values = np.tile(np.eye(5, dtype=np.float32)[0], (6, 10, 1))
    values[4, 8] = np.eye(5)[1]
    examples = FeatureGrid(values, "e", "e@1", GridToImage.of_resize(size, (6, 10)), size)
    query = Query("a", ("a",), (Exemplar(np.eye(5, dtype=np.float32)[1], "e@1"),))
    found = apart().find(
        np.zeros((*size, 3), np.uint8), words, examples, asked(query), SearchSettings(refine=False)
    )
    assert found.masks[15, 15] == 1 and found.masks[45, 85] == 1 and len(found.detections) == 2


def test_what_is_nearer_to_a_negative_exemplar_is_not_found() -> None:
    """In the space of words: a mean of two things is found until one of them is shown as another thing."""
    between = (2 * A + B) / np.sqrt(5)
    grid = grid_of({(1, 1): A, (4, 7): between}, (6, 10), (60, 100))
    assert {one.box[:2] for one in found_in(grid, asked(Query("a"))).detections} == {(10, 10), (71, 41)}
    other = Exemplar(between.astype(np.float32), "w@1")
    query = Query("a", negative_exemplars=(other,))
    assert [one.box[:2] for one in found_in(grid, asked(query)).detections] == [(10, 10)]


def test_a_negative_exemplar_of_another_space_acts_on_words_and_on_exemplars() -> None:
    size, (wall, thing, other) = (60, 100), np.eye(5, dtype=np.float32)[:3]
    words = grid_of({(1, 1): A, (4, 8): A}, (6, 10), size)
    values = np.tile(wall, (6, 10, 1))
    values[1, 1], values[4, 8] = thing, other
    seen = FeatureGrid(values, "e", "e@1", GridToImage.of_resize(size, (6, 10)), size)
    against = (Exemplar(other, "e@1"),)
    doubtful = (3 * other + wall) / np.sqrt(10, dtype=np.float32)
    either = tuple(Exemplar(one, "e@1") for one in (thing, doubtful))
    settings = SearchSettings(refine=False, min_region_share=0.0)
    for query in (Query("a"), Query("key", exemplars=either)):
        places = []
        for asked_for in (query, replace(query, negative_exemplars=against)):
            found = apart().find(np.zeros((*size, 3), np.uint8), words, seen, asked(asked_for), settings)
            places.append([one.box for one in found.detections])
        assert len(places[0]) == 2 and len(places[1]) == 1
        assert places[1][0][0] < 20 and places[1][0][1] < 20


def test_grids_and_examples_of_other_spaces_are_refused() -> None:
    grid = grid_of({}, (2, 2), (20, 20))
    other = FeatureGrid(grid.values, "x", "x@9", grid.grid_to_image, grid.image_size)
    with pytest.raises(SpaceError, match="x@9"):
        found_in(other, asked(Query("a")))
    with pytest.raises(SpaceError, match="'a'"):
        found_in(grid, asked(Query("a", ("a",), (Exemplar(A, "x@9"),))))


def lead_of_others(asked_for: np.ndarray, region: np.ndarray, names: np.ndarray) -> float:
    """The feature by a plain loop: how far each name leads, counted as far as it differs from the query."""
    return max(
        10.0 * float(region @ name - region @ asked_for) * (1.0 - float(name @ asked_for)) for name in names
    )


def test_a_region_that_is_more_like_another_name_is_doubted() -> None:
    shown = (A + 2 * B).astype(np.float32) / np.float32(np.sqrt(5))
    grid = grid_of({(r, c): shown for r in (2, 3) for c in (3, 4)}, (6, 8), (60, 80))
    wary = Calibration(
        tuple({"mean": 1.0, "rival": -1.0}.get(f, 0.0) for f in FEATURES), 3.0, -0.5, -0.5, -0.5, 0.0
    )
    source_image = np.zeros((60, 80, 3), np.uint8)
    probabilities = {}
    for name, names in (
        ("none", np.zeros((0, 4))),
        ("itself", A[None]),
        ("other", B[None]),
        ("both", np.stack([A, B])),
    ):
        options = {"text_space": "w@1", "exemplar_space": "w@1", "neutral": np.stack([NOTHING])}
        one = assemble_searcher(
            SigmoidScorer((4.0, 4.0), (-2.0, -2.0)), wary, known_names=names.astype(np.float32), **options
        )
        found = one.find(
            source_image, grid, None, asked(Query("a")), SearchSettings(refine=False, min_region_share=0.0)
        )
        probabilities[name] = found.detections[0].scores.probability
    assert probabilities["none"] == pytest.approx(probabilities["itself"])
    odds = {name: np.log(p / (1 - p)) for name, p in probabilities.items()}
    region = shown  # all cells of the region look the same but for its blended rim
    assert odds["none"] - odds["other"] == pytest.approx(lead_of_others(A, region, B[None]), rel=0.15)
    assert probabilities["other"] == pytest.approx(probabilities["both"])


def test_a_lower_mask_threshold_paints_more_of_a_thing() -> None:
    faint = (A + B).astype(np.float32) / np.float32(np.sqrt(2))
    cells = {(2, 3): A, (2, 4): A, (2, 5): faint * 0.6 + NOTHING * 0.8}
    grid = grid_of(cells, (6, 8), (60, 80))
    usual = found_in(grid, asked(Query("a"))).masks != UNLABELLED
    more = found_in(grid, asked(Query("a")), mask_threshold=0.2).masks != UNLABELLED
    less = found_in(grid, asked(Query("a")), mask_threshold=0.8).masks != UNLABELLED
    assert less.sum() < usual.sum() < more.sum()
    assert (less <= usual).all() and (usual <= more).all()
