"""Pointing at things in grids whose vectors are known."""

from __future__ import annotations

import numpy as np
import pytest

from perception_contrast.core.errors import QueryError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.segmentation.exemplars import exemplar_of

BACKDROP, THING, OTHER = np.eye(6, dtype=np.float32)[:3]


def scene(size: tuple[int, int] = (120, 200)) -> FeatureGrid:
    """12 x 20 cells: a thing over rows 3 to 5, columns 4 to 8; one alike at rows 8 to 9, columns 15 to 17."""
    rng = np.random.default_rng(0)
    values = np.tile(BACKDROP, (12, 20, 1))
    values[3:6, 4:9] = THING
    values[8:10, 15:18] = THING
    values[9:11, 2:5] = OTHER
    values = values + rng.normal(0, 0.02, values.shape).astype(np.float32)
    return FeatureGrid(values, "model", "model@1", GridToImage.of_resize(size, (12, 20)), size)


def test_a_point_takes_what_is_alike_and_connected() -> None:
    grid = scene()
    unit = grid.unit().values
    shown = exemplar_of(grid, None, (65.0, 45.0), 0.6)
    expected = unit[3:6, 4:9].reshape(-1, 6).mean(0)
    assert np.allclose(shown.vector, expected / np.linalg.norm(expected), atol=1e-6)
    assert shown.space == "model@1"
    alone = exemplar_of(grid, None, (65.0, 45.0), 2.0)
    assert np.allclose(alone.vector, unit[4, 6])


@pytest.mark.parametrize("size", [(120, 200), (1200, 2000), (12, 20), (6, 5), (61, 333)])
def test_every_pixel_belongs_to_the_cell_that_covers_its_centre(size: tuple[int, int]) -> None:
    grid = scene(size)
    unit = grid.unit().values
    for x in np.linspace(0, size[1] - 1, 9).round():
        for y in np.linspace(0, size[0] - 1, 7).round():
            row, column = int((y + 0.5) * 12 / size[0]), int((x + 0.5) * 20 / size[1])
            on_edge = (y + 0.5) * 12 / size[0] == row or (x + 0.5) * 20 / size[1] == column
            if not on_edge:
                vector = exemplar_of(grid, None, (x, y), 2.0).vector
                assert np.allclose(vector, unit[row, column], atol=1e-6), (x, y)


def test_a_box_leaves_out_the_backdrop_in_its_corners() -> None:
    loose = exemplar_of(scene(), (30, 20, 100, 70), None, 0.6)
    assert loose.vector @ THING > 0.95 and abs(loose.vector @ BACKDROP) < 0.2


def test_a_mask_takes_the_cells_that_it_covers_and_no_others() -> None:
    grid = scene()
    unit = grid.unit().values
    mask = np.zeros((120, 200), bool)
    mask[30:60, 40:90] = True
    mask[80:84, 150:180] = True  # less than half of any cell
    shown = exemplar_of(grid, None, None, 0.6, mask)
    expected = unit[3:6, 4:9].reshape(-1, 6).mean(0)
    assert np.allclose(shown.vector, expected / np.linalg.norm(expected), atol=1e-6)
    # What the mask touches is none of the surroundings.
    centre = unit.mean(axis=(0, 1))
    rest = (THING - centre) / np.linalg.norm(THING - centre)
    assert shown.context is not None and (shown.context @ rest).max() < 0.9
    sliver = np.zeros((120, 200), bool)
    sliver[32, 42] = True
    assert np.allclose(exemplar_of(grid, None, None, 0.6, sliver).vector, unit[3, 4], atol=1e-6)


def test_a_mask_that_does_not_fit_is_refused() -> None:
    with pytest.raises(QueryError, match=r"\(120, 200\)"):
        exemplar_of(scene(), None, None, 0.6, np.ones((12, 20), bool))
    with pytest.raises(QueryError, match="empty"):
        exemplar_of(scene(), None, None, 0.6, np.zeros((120, 200), bool))


def test_a_box_of_one_pixel_is_the_cell_under_it() -> None:
    grid = scene((6, 5))  # pixels larger than cells
    unit = grid.unit().values
    covered = unit[4:6, 8:12].reshape(-1, 6)
    vector = exemplar_of(grid, (2, 2, 3, 3), None, 0.6).vector
    assert np.isclose(np.linalg.norm(vector), 1, atol=1e-5)
    assert max(covered @ vector) > max(unit[2:4, 4:8].reshape(-1, 6) @ vector) - 1e-6
    large = scene((1200, 2000))  # cells larger than pixels
    tiny = exemplar_of(large, (655, 455, 656, 456), None, 0.6).vector
    assert np.allclose(tiny, large.unit().values[4, 6], atol=1e-6)


def test_the_whole_image_is_its_mean() -> None:
    grid = scene()
    mean = grid.unit().values.reshape(-1, 6).mean(0)
    assert np.allclose(exemplar_of(grid, None, None, 0.6).vector, mean / np.linalg.norm(mean), atol=1e-6)


def test_surroundings_are_what_was_not_shown() -> None:
    shown = exemplar_of(scene(), None, (65.0, 45.0), 0.6)
    assert shown.centre is not None and shown.parts is not None and shown.context is not None
    for vectors in (shown.parts, shown.context):
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    own = THING - shown.centre
    own /= np.linalg.norm(own)
    backdrop = BACKDROP - shown.centre
    backdrop /= np.linalg.norm(backdrop)
    assert (shown.parts @ own).min() > 0.9 and (shown.context @ backdrop).max() > 0.9


def test_a_blank_grid_gives_finite_vectors() -> None:
    for shape in ((1, 1), (3, 4)):
        values = np.ones((*shape, 6), np.float32)
        grid = FeatureGrid(values, "m", "m@1", GridToImage.of_resize((30, 40), shape), (30, 40))
        for box, point in ((None, None), ((0, 0, 40, 30), None), ((3, 3, 9, 9), None), (None, (5.0, 5.0))):
            shown = exemplar_of(grid, box, point, 0.6)
            assert np.allclose(shown.vector, 6**-0.5, atol=1e-6)
            for part in (shown.parts, shown.context):
                assert part is None or np.isfinite(part).all()


@pytest.mark.parametrize(
    ("box", "point"),
    [
        (None, (200.0, 5.0)), (None, (-1.0, 5.0)), (None, (5.0, 119.6)), (None, (float("nan"), 5.0)),
        ((200, 0, 210, 10), None), ((-9, -9, 0, 5), None), ((10, 10, 10, 20), None), ((20, 10, 10, 20), None),
        ((0, 0, float("inf"), 10), None),
    ],
)  # fmt: skip
def test_what_is_not_in_the_image_is_refused(box: tuple | None, point: tuple | None) -> None:
    with pytest.raises(QueryError, match=r"outside the 200x120 image|has no area"):
        exemplar_of(scene(), box, point, 0.6)


@pytest.mark.parametrize(
    ("box", "point", "said"),
    [
        ((1, 2, 3), None, r"box \(1, 2, 3\) .*x_min, y_min, x_max, y_max"),
        ((1, 2, 3, 4, 5), None, "x_min"),
        (7, None, "x_min"),
        (("a", 2, 3, 4), None, "x_min"),
        ((1, None, 3, 4), None, "x_min"),
        (None, (5.0,), r"point \(5\.0,\) .*\(x, y\)"),
        (None, (5.0, 6.0, 7.0), "form"),
        (None, 5.0, "form"),
    ],
)
def test_a_box_or_point_of_another_form_is_refused_with_the_form(
    box: object, point: object, said: str
) -> None:
    with pytest.raises(QueryError, match=said):
        exemplar_of(scene(), box, point, 0.6)  # type: ignore[arg-type]


def test_a_box_as_an_array_is_one() -> None:
    of_array = exemplar_of(scene(), np.array([30, 20, 100, 70]), None, 0.6)  # type: ignore[arg-type]
    assert np.array_equal(of_array.vector, exemplar_of(scene(), (30, 20, 100, 70), None, 0.6).vector)


@pytest.mark.parametrize(
    ("box", "point", "masked", "said"),
    [
        ((30, 20, 100, 70), (65.0, 45.0), False, "box and point"),
        ((30, 20, 100, 70), None, True, "box and mask"),
        (None, (65.0, 45.0), True, "point and mask"),
    ],
)
def test_a_thing_is_shown_in_one_way(box: tuple | None, point: tuple | None, masked: bool, said: str) -> None:
    mask = np.ones((120, 200), bool) if masked else None
    with pytest.raises(QueryError, match=f"^{said} are given together"):
        exemplar_of(scene(), box, point, 0.6, mask)


def test_a_mask_of_no_numbers_is_refused() -> None:
    with pytest.raises(QueryError, match="mask holds"):
        exemplar_of(scene(), None, None, 0.6, np.full((120, 200), "x"))


def test_what_sets_a_thing_apart_ignores_how_its_surroundings_vary() -> None:
    """One of two directions in which the thing differs is one in which the backdrop varies widely."""
    rng, size = np.random.default_rng(1), (120, 200)
    values = np.tile(BACKDROP, (12, 20, 1)) + rng.normal(0, 0.02, (12, 20, 6)).astype(np.float32)
    values[..., 1] += rng.normal(0, 0.4, (12, 20)).astype(np.float32)
    values[3:6, 4:9] += 0.5 * (THING + OTHER)
    grid = FeatureGrid(values, "model", "model@1", GridToImage.of_resize(size, (12, 20)), size)
    mask = np.zeros(size, bool)
    mask[30:60, 40:90] = True
    shown = exemplar_of(grid, None, None, 0.6, mask)
    assert shown.direction is not None and shown.direction[2] > 4 * abs(shown.direction[1])
    unit = grid.unit().values
    own = (unit[3:6, 4:9].reshape(-1, 6) - shown.centre) @ shown.direction
    others = (unit[6:].reshape(-1, 6) - shown.centre) @ shown.direction
    assert own.mean() == pytest.approx(1.0, abs=1e-4) and others.max() < own.min()


def test_an_image_of_nothing_else_sets_nothing_apart() -> None:
    assert exemplar_of(scene(), None, None, 0.6).direction is None
    assert exemplar_of(scene(), (0, 0, 200, 110), None, 0.6).direction is None
