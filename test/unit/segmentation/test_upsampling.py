"""Regions, their vectors and edge-aware smoothing against plain transcriptions and other libraries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.segmentation.regions.hysteresis import LogitWindow, grow_regions
from perception_contrast.segmentation.regions.region import Region
from perception_contrast.segmentation.regions.region_pooling import pool_regions
from perception_contrast.segmentation.upsampling.bilinear import upsample_bilinear
from perception_contrast.segmentation.upsampling.guided_filter import GuidedFilter


def windows(values: np.ndarray, radius: int) -> np.ndarray:
    """(h, w, k): the pixels of every square window, mirrored at the image's border."""
    padded = np.pad(values, radius, mode="reflect")
    view = np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1, 2 * radius + 1))
    return view.reshape(*values.shape, -1)


def guided_filter_by_least_squares(
    guide: np.ndarray, values: np.ndarray, radius: int, epsilon: float
) -> np.ndarray:
    """He et al., equation 4, in each window least sum of (a I + b - p)^2 + epsilon a^2; then equation 8."""
    slope, offset = np.empty(guide.shape), np.empty(guide.shape)
    for (y, x), _ in np.ndenumerate(guide):
        i, p = windows(guide, radius)[y, x], windows(values, radius)[y, x]
        count = len(i)
        normal = np.array([[i @ i + epsilon * count, i.sum()], [i.sum(), count]])
        slope[y, x], offset[y, x] = np.linalg.solve(normal, [i @ p, p.sum()])
    return windows(slope, radius).mean(-1) * guide + windows(offset, radius).mean(-1)


def test_guided_filter_is_the_papers_least_squares() -> None:
    rng = np.random.default_rng(0)
    guide, values = rng.random((9, 13)), rng.normal(0, 3, (9, 13))
    expected = guided_filter_by_least_squares(guide, values, 2, 1e-2)
    smoothed = GuidedFilter(guide.astype(np.float32), 2, 1e-2)(values.astype(np.float32))
    assert np.allclose(smoothed, expected, atol=2e-4)


def test_guided_filter_leaves_constants_and_blank_guides_finite() -> None:
    for shape in ((1, 1), (1, 40), (30, 20)):
        blank = GuidedFilter(np.zeros(shape, np.float32), 3)
        assert np.allclose(blank(np.full(shape, -2.5, np.float32)), -2.5, atol=1e-5)


def test_a_blurred_edge_snaps_to_the_guides() -> None:
    guide = np.zeros((40, 60), np.float32)
    guide[:, 33:] = 1.0
    blurred = np.clip((np.arange(60, dtype=np.float32) - 32.5) / 8, -1, 1)[None].repeat(40, 0)
    sharp = GuidedFilter(guide, 6)(blurred)
    assert np.ptp(sharp[:, 32:34], axis=1).min() > 3 * np.ptp(blurred[:, 32:34], axis=1).max()


@pytest.mark.parametrize(("grid", "size"), [((3, 5), (90, 200)), ((27, 36), (480, 641)), ((6, 4), (6, 4))])
def test_upsampling_keeps_cells_where_they_are(grid: tuple[int, int], size: tuple[int, int]) -> None:
    """A grid of its own cells' positions comes out as the positions of pixels, but for the rim."""
    rows, columns = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in grid), indexing="ij")
    place = GridToImage.of_resize(size, grid)
    x, y = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
    for values, pixel, (scale, shift), count in (
        (columns, x, (place.sx, place.ox), grid[1]),
        (rows, y, (place.sy, place.oy), grid[0]),
    ):
        expected = np.clip((pixel - shift) / scale, 0, count - 1)
        assert np.allclose(upsample_bilinear(values, size), expected, atol=1e-3)


@given(st.integers(0, 10_000), st.sampled_from([(1, 1), (1, 30), (17, 23), (40, 12)]))
@settings(max_examples=25, deadline=None)
def test_regions_are_scipys_components(seed: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    logits = ndimage.gaussian_filter(rng.normal(0, 6, shape), 1.5).astype(np.float32)
    low, high, share = -0.3, 0.8, 0.01
    labels, count = ndimage.label(logits >= low, np.ones((3, 3)))
    expected = {}
    for number in range(1, count + 1):
        inside = np.sort(logits[labels == number])[::-1]
        peak = inside[max(1, len(inside) // 100) - 1]  # under 100 pixels, the highest
        if peak >= high and len(inside) >= share * logits.size:
            rows, columns = ndimage.find_objects(labels)[number - 1]
            box = (columns.start, rows.start, columns.stop, rows.stop)
            expected[box] = (
                peak,
                inside.mean(),
                len(inside) / logits.size,
                (labels == number)[rows, columns],
            )
    found = grow_regions([LogitWindow(logits, high, low)], logits.size, share, 1000)[0]
    assert len(found) == len(expected)
    assert [r.peak for r in found] == sorted((r.peak for r in found), reverse=True)
    for region in found:
        peak, mean, part, mask = expected[region.box]
        assert (region.peak, region.mean, region.share) == pytest.approx((peak, mean, part), abs=1e-5)
        assert np.array_equal(region.mask, mask)
    fewer = grow_regions([LogitWindow(logits, high, low)], logits.size, share, 2)[0]
    assert [r.box for r in fewer] == [r.box for r in found[:2]]


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_windows_that_are_searched_together_are_searched_each_by_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    windows = []
    for _ in range(int(rng.integers(1, 5))):
        shape = tuple(rng.integers(1, 30, 2))
        logits = ndimage.gaussian_filter(rng.normal(0, 6, shape), 1.0).astype(np.float32)
        low = float(rng.uniform(-1, 1))
        corner = tuple(int(side) for side in rng.integers(0, 9, 2))
        windows.append(LogitWindow(logits, low + float(rng.uniform(0, 1)), low, corner))
    together = grow_regions(windows, 900, 0.002, 9)
    assert len(together) == len(windows)
    for window, found in zip(windows, together, strict=True):
        alone = grow_regions([window], 900, 0.002, 9)[0]
        assert [(r.box, r.peak, r.share) for r in found] == [(r.box, r.peak, r.share) for r in alone]
        for one, other in zip(found, alone, strict=True):
            assert one.mean == pytest.approx(other.mean, abs=1e-5)
            assert np.array_equal(one.mask, other.mask)
            x0, y0, x1, y1 = one.box
            left, top = window.corner
            assert (window.logits[y0 - top : y1 - top, x0 - left : x1 - left][one.mask] >= window.low).all()


def test_nothing_confident_and_not_a_number_give_no_region() -> None:
    flat = np.full((5, 5), 0.4, np.float32)
    unknown = np.full((5, 5), np.nan, np.float32)
    assert grow_regions([LogitWindow(one, 0.5, 0.0) for one in (flat, unknown)], 25, 0.0, 9) == [[], []]
    assert grow_regions([], 25, 0.0, 9) == []


def lengths(pixels: int, cells: int) -> np.ndarray:
    """(cells, pixels): overlap of each cell with each pixel, by sixtieths of both."""
    owner = np.arange(pixels * cells)
    table = np.zeros((cells, pixels))
    np.add.at(table, (owner // pixels, owner // cells), 1 / cells)
    return table


@given(
    st.sampled_from(
        [((48, 64), (7, 9)), ((16, 16), (27, 27)), ((1, 1), (5, 5)), ((5, 90), (4, 60)), ((30, 40), (27, 36))]
    ),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_region_vector_is_the_area_weighted_mean(case: tuple, data: st.DataObject) -> None:
    (height, width), (rows, columns) = case
    y0, x0 = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    y1, x1 = data.draw(st.integers(y0 + 1, height)), data.draw(st.integers(x0 + 1, width))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    mask = rng.random((y1 - y0, x1 - x0)) < 0.6
    mask[0, 0] = True
    grid = rng.normal(size=(rows, columns, 16)).astype(np.float32)
    whole = np.zeros((height, width))
    whole[y0:y1, x0:x1] = mask
    expected = np.einsum(
        "iy,yx,jx,ijc->c", lengths(height, rows), whole, lengths(width, columns), grid, optimize=True
    )
    region = Region((x0, y0, x1, y1), mask, 0.0, 0.0, 0.0)
    vector = pool_regions([region], (height, width), grid)[0]
    assert np.allclose(vector, expected / np.linalg.norm(expected), atol=1e-4)
