"""Views of regions and how tokens are pooled in them, against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.encoders.rescoring_head import LAYOUT, pooled
from perception_contrast.preprocessing.region_crops import View, coverage, enlarged, form_of, steady, view_of

SIDE = 112


def coordinates(height: int = 240, width: int = 250) -> np.ndarray:
    """An image whose red is its column and whose green is its row."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, 0 * rows], axis=-1).astype(np.uint8)


@given(st.floats(0, 150), st.floats(0, 150), st.floats(20, 90))
@settings(max_examples=40, deadline=None)
def test_a_view_shows_the_pixels_that_it_covers(x: float, y: float, side: float) -> None:
    shown = enlarged(coordinates(), View(x, y, side), SIDE).astype(float)
    # The middle of pixel k of the view lies at this place of the image.
    along = (np.arange(SIDE) + 0.5) * side / SIDE - 0.5
    inside = np.s_[4:-4]
    assert np.abs(shown[SIDE // 2, inside, 0] - (x + along)[inside]).max() < 1.01
    assert np.abs(shown[inside, SIDE // 2, 1] - (y + along)[inside]).max() < 1.01


def test_what_shrinks_is_averaged_and_beyond_the_image_its_edge_goes_on() -> None:
    stripes = np.zeros((240, 240, 3), np.uint8)
    stripes[:, ::2] = 200
    shrunk = enlarged(stripes, View(0.0, 0.0, 224.0), SIDE)
    assert np.all(shrunk == 100)
    beyond = enlarged(coordinates(), View(-112.0, -112.0, 224.0), SIDE)
    assert beyond[:56].max(axis=(0, 1))[1] == 0 and beyond[:, :56].max(axis=(0, 1))[0] == 0
    assert beyond[-1, -1, 0] == pytest.approx(111, abs=1)


@given(
    st.tuples(st.floats(-100, 400), st.floats(-100, 300), st.floats(40, 500)),
    st.tuples(st.integers(0, 100), st.integers(0, 70), st.integers(20, 60), st.integers(20, 50)),
)
@settings(max_examples=40, deadline=None)
def test_coverage_is_the_share_of_each_cell(
    place: tuple[float, float, float], block: tuple[int, int, int, int]
) -> None:
    """The mask is known at a quarter of the image's resolution, of its box alone."""
    x, y, w, h = block
    box = (4.0 * x, 4.0 * y, 4.0 * (x + w), 4.0 * (y + h))
    view = View(*place)
    edges = [start + view.side * np.arange(9) / 8 for start in (view.x, view.y)]
    parts = [
        np.clip(np.minimum(edge[1:], high) - np.maximum(edge[:-1], low), 0, None) / (view.side / 8)
        for edge, low, high in zip(edges, box[:2], box[2:], strict=True)
    ]
    found = coverage(np.ones((h, w), bool), box, view, 8)
    # Samples of a mask that is known in steps of 4 pixels.
    assert np.abs(found - np.outer(parts[1], parts[0])).max() < 0.13 + 8 * 4 / view.side


@given(st.tuples(*[st.floats(0, 400)] * 2), st.tuples(*[st.floats(4, 300)] * 2))
@settings(max_examples=100, deadline=None)
def test_a_steady_view_holds_the_thing_and_is_not_much_larger(
    corner: tuple[float, float], size: tuple[float, float]
) -> None:
    box = (*corner, corner[0] + size[0], corner[1] + size[1])
    wished, view = view_of(box), steady(view_of(box))
    assert wished.side <= view.side * (1 + 1e-9) < wished.side * 2**0.25 * (1 + 1e-6)
    assert view.x <= box[0] and view.y <= box[1]
    assert box[2] <= view.x + view.side and box[3] <= view.y + view.side


def test_regions_that_differ_by_little_share_a_view() -> None:
    rng = np.random.default_rng(0)
    shared = 0
    for _ in range(200):
        x, y, w, h = rng.uniform(50, 300), rng.uniform(50, 300), *rng.uniform(30, 120, 2)
        box = np.array([x, y, x + w, y + h])
        other = box + rng.uniform(-1, 1, 4)
        shared += steady(view_of(tuple(box))) == steady(view_of(tuple(other)))
    assert shared > 120


def test_pooling_is_means_under_and_beside_the_mask() -> None:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(3, 8, 8, 6, generator=generator)
    masks = (torch.rand(3, 8, 8, generator=generator) > 0.6).float()
    rgb = torch.rand(3, 3, SIDE, SIDE, generator=generator)
    found = pooled(tokens, masks, rgb, torch.zeros(3, 2))
    for n in range(3):
        chosen = masks[n] > 0
        assert torch.allclose(found.inside[n], tokens[n][chosen].mean(0), atol=1e-3)
        assert torch.allclose(found.outside[n], tokens[n][~chosen].mean(0), atol=1e-3)
        cell = tokens[n, 2:4, 6:8].reshape(-1, 6).mean(0)
        assert torch.allclose(found.layout[n, 1, 3], cell, atol=1e-5)
    assert found.place.shape == (3, LAYOUT, LAYOUT)


def test_colours_are_those_under_the_mask_and_an_empty_mask_stays_finite() -> None:
    rgb = torch.zeros(2, 3, SIDE, SIDE)
    rgb[:, 0, :, :56] = 1.0
    rgb[:, 1, :, 56:] = 1.0
    masks = torch.zeros(2, 8, 8)
    masks[0, :, :3] = 1.0
    found = pooled(torch.ones(2, 8, 8, 6), masks, rgb, torch.zeros(2, 2))
    assert found.colours[0, :3].tolist() == pytest.approx([0.5, -0.5, -0.5], abs=0.01)
    for part in vars(found).values():
        assert torch.isfinite(part).all()


def test_the_form_is_the_size_and_how_tall_it_stands() -> None:
    assert form_of((0, 0, 10, 40), 0.01) == pytest.approx((-2.0, np.log(4)))
    assert np.isfinite(form_of((5, 5, 5, 5), 0.0)).all()
