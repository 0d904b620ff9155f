"""Where pixels go when an image is resized or cropped, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.core.errors import FrameError
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.images.resize import (
    ELONGATED,
    crop,
    fitted_size,
    resize_image,
    resize_labels,
    shrink_image,
)

sizes = st.tuples(st.integers(2, 90), st.integers(2, 90))


def positions(size: tuple[int, int]) -> np.ndarray:
    """An image (H, W, 2) float32 that says at each pixel where it is: (x, y)."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([x, y], -1).astype(np.float32)


def mapped(grid: GridToImage, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 2): the source (x, y) that the map gives for each cell."""
    where = [[grid.to_image(column, row) for column in range(size[1])] for row in range(size[0])]
    return np.array(where)


@settings(max_examples=60, deadline=None)
@given(source=sizes, target=sizes, data=st.data())
def test_crop_then_resize_lands_where_the_map_says(
    source: tuple[int, int], target: tuple[int, int], data: st.DataObject
) -> None:
    """Each pixel holds its own coordinate, so a resized one tells where it was taken from.

    Interpolation and averages of whole pixels are exact; an area average takes a pixel of which it
    covers the share f at its centre, which moves the mean by f (1 - f) / 2, at most 1/8 pixel.
    """
    x0, y0 = data.draw(st.integers(0, source[1] - 1)), data.draw(st.integers(0, source[0] - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, source[1])), data.draw(st.integers(y0 + 1, source[0]))
    part, to_whole = crop(positions(source), (x0, y0, x1, y1))
    assert part.shape[:2] == (y1 - y0, x1 - x0)
    grid = GridToImage.of_resize(part.shape[:2], target).then(to_whole)
    # Beyond the outermost pixel centres interpolation has only the border pixel.
    expected = np.clip(mapped(grid, target), [x0, y0], [x1 - 1, y1 - 1])
    shrinks = target[0] <= part.shape[0] and target[1] <= part.shape[1]
    whole_pixels = part.shape[0] % target[0] == 0 and part.shape[1] % target[1] == 0
    tolerance = 0.13 if shrinks and not whole_pixels else 0.02
    np.testing.assert_allclose(resize_image(part, target), expected, atol=tolerance, rtol=0)
    assert GridToImage.of_resize(part.shape[:2], target).moved(x0, y0) == grid
    column, row = grid.to_grid(*grid.to_image(3.0, 5.0))
    assert (column, row) == pytest.approx((3.0, 5.0))


@settings(max_examples=60, deadline=None)
@given(source=sizes, target=sizes)
def test_labels_come_from_the_nearest_pixel(source: tuple[int, int], target: tuple[int, int]) -> None:
    labels = np.arange(source[0] * source[1], dtype=np.uint16).reshape(source)
    resized = resize_labels(labels, target)
    assert resized.dtype == labels.dtype and resized.shape == target
    taken = np.stack([resized % source[1], resized // source[1]], -1)
    where = mapped(GridToImage.of_resize(source, target), target)
    assert np.abs(taken - where).max() <= 0.5 + 1e-9


def test_resizing_averages_instead_of_skipping() -> None:
    """One bright pixel in each 4 x 4: its share of the mean is 1/16; interpolation would miss it."""
    dots = np.zeros((64, 64), np.uint8)
    dots[::4, ::4] = 240
    np.testing.assert_array_equal(resize_image(dots, (16, 16)), np.full((16, 16), 15, np.uint8))


def test_crop_is_widened_clipped_and_never_empty() -> None:
    part, grid = crop(positions((10, 20)), (-3.0, 2.2, 4.1, 99.0))
    assert part.shape == (8, 5, 2) and part[0, 0].tolist() == [0, 2]
    assert grid == GridToImage(1.0, 1.0, 0.0, 2.0)
    for box in ((20, 0, 30, 5), (5, 5, 5, 8), (6, 1, 2, 3)):
        with pytest.raises(FrameError, match="box"):
            crop(positions((10, 20)), box)


@pytest.mark.parametrize(
    ("source", "short", "multiple", "tokens", "expected"),
    [
        ((480, 640), 378, 14, 2048, (378, 504)),
        ((640, 480), 378, 14, None, (504, 378)),
        ((224, 224), 224, 16, None, (224, 224)),
        ((1, 100_000), 378, 14, 50, (14, 700)),
        ((3, 3), 1000, 1, 961, (31, 31)),
        ((480, 640), 5000, 14, 300, (15 * 14, 20 * 14)),
        ((3, 3), 1, 14, None, (14, 14)),
        # Strips with little in them are enlarged to no more cells than an image of 4:3 has, here 972.
        ((16, 8192), 378, 14, 2048, (14, 705 * 14)),
        ((8192, 16), 378, 14, 65536, (705 * 14, 14)),
        ((64, 4096), 378, 14, 2048, (4 * 14, 292 * 14)),
        # One with much in it keeps what max_tokens allows, and so does one of 4:1.
        ((1000, 8000), 378, 14, 2048, (16 * 14, 128 * 14)),
        ((100, 400), 378, 14, 2048, (22 * 14, 90 * 14)),
    ],
)
def test_fitted_size_of_known_cases(
    source: tuple[int, int], short: int, multiple: int, tokens: int | None, expected: tuple[int, int]
) -> None:
    assert fitted_size(source, short, multiple, tokens) == expected


@settings(deadline=None)
@given(
    source=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    short=st.integers(14, 1000),
    multiple=st.integers(1, 32),
    tokens=st.one_of(st.none(), st.integers(1, 5000)),
)
def test_fitted_size_keeps_aspect_and_limits(
    source: tuple[int, int], short: int, multiple: int, tokens: int | None
) -> None:
    height, width = fitted_size(source, short, multiple, tokens)
    assert height % multiple == 0 and width % multiple == 0 and min(height, width) >= multiple
    cells = height * width // multiple**2
    if tokens is not None:
        if max(source) > ELONGATED * min(source):
            own, usual = source[0] * source[1] / multiple**2, 4 / 3 * (short / multiple) ** 2
            tokens = max(1, min(tokens, round(max(own, usual))))
        assert cells <= tokens
        wanted = [round(side * short / min(source) / multiple) for side in source]
        if wanted[0] * wanted[1] > tokens and min(height, width) > multiple:
            # Shrunk no further than needed: one more row and one more column would not fit.
            assert (height + multiple) * (width + multiple) > tokens * multiple**2
    else:
        exact = np.array(source) * short / min(source)
        assert (np.abs([height, width] - exact) <= np.maximum(multiple / 2, multiple - exact) + 1e-6).all()


def test_fitted_size_refuses_no_pixels() -> None:
    with pytest.raises(FrameError):
        fitted_size((0, 640), 378, 14)


def test_only_larger_images_shrink_and_keep_their_shape() -> None:
    image = np.zeros((90, 301, 3), np.uint8)
    assert shrink_image(image, 301) is image
    assert shrink_image(image, 100).shape == (30, 100, 3)
    assert shrink_image(np.zeros((400, 1, 3), np.uint8), 100).shape == (100, 1, 3)
