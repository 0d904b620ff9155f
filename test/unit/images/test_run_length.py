"""Run lengths of masks, held against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_contrast.images.run_length import decode_mask, encode_mask


@st.composite
def placed_masks(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
    """A mask, the size of the image that it lies in, and its corner there."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    h, w = draw(st.integers(1, height)), draw(st.integers(1, width))
    x, y = draw(st.integers(0, width - w)), draw(st.integers(0, height - h))
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    mask = np.random.default_rng(draw(st.integers(0, 2**16))).random((h, w)) < share
    return mask, (height, width), (x, y)


@given(placed_masks())
def test_masks_come_back_in_their_place(placed: tuple) -> None:
    mask, size, (x, y) = placed
    whole = np.zeros(size, bool)
    whole[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    np.testing.assert_array_equal(decode_mask(encode_mask(mask, size, (x, y))), whole)


@given(placed_masks())
def test_the_text_is_that_of_pycocotools(placed: tuple) -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    mask, size, (x, y) = placed
    whole = np.zeros(size, np.uint8)
    whole[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    theirs = coco.encode(np.asfortranarray(whole))
    assert encode_mask(mask, size, (x, y)) == {"size": list(size), "counts": theirs["counts"].decode()}


@pytest.mark.parametrize("counts", ["", "1", "zz", "\n", "0o"])
def test_text_that_is_no_mask_is_refused(counts: str) -> None:
    with pytest.raises(ValueError):
        decode_mask({"size": [3, 3], "counts": counts})
