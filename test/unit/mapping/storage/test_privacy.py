"""The privacy hook sees each image before it is stored."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from map_examples import jpeg, unit

from perception_contrast.core.errors import FrameError
from perception_contrast.mapping.storage.privacy import LabelPrivacy, Shot, blurred, filtered


def shot(*labels: str, data: bytes = b"") -> Shot:
    return Shot("object", data or jpeg(1, 64), unit(1), 5, labels, (0.0, 0.0, 0.0))


def test_without_a_filter_all_stays() -> None:
    one = shot("person")
    assert filtered(None, one) is one


def test_labels_refuse_and_blur() -> None:
    privacy = LabelPrivacy(refuse=("child",), blur=("person",))
    assert filtered(privacy, shot("mug", "child")) is None
    other = shot("mug")
    assert filtered(privacy, other) is other
    kept = filtered(privacy, shot("person"))
    assert kept is not None and kept.vector is None
    before, after = shot("person").image(), kept.image()
    assert before is not None and after is not None
    assert before.shape == after.shape
    # Details are gone; the mean stays.
    assert (
        np.abs(np.diff(after.astype(int), axis=1)).max()
        < np.abs(np.diff(before.astype(int), axis=1)).max() / 4
    )
    assert after.mean() == pytest.approx(before.mean(), abs=4)


def test_bytes_that_are_no_image_are_not_kept_where_they_should_be_blurred() -> None:
    kept = LabelPrivacy(blur=("person",))(shot("person", data=b"who knows"))
    assert kept is not None and kept.jpeg == b"" and kept.vector is None


def test_a_replaced_image_is_stored_as_jpeg() -> None:
    red = np.zeros((10, 12, 3), np.uint8)
    red[..., 0] = 255
    image = shot().with_image(red).image()
    assert image is not None and image.shape == (10, 12, 3)
    assert image[..., 0].min() > 240 and image[..., 1:].max() < 15
    assert shot().with_image(None).image() is None
    with pytest.raises(FrameError, match=r"give \(height, width, 3\)"):
        shot().with_image(np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (300, 7)])
def test_any_size_is_blurred(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 90, np.uint8)
    np.testing.assert_array_equal(blurred(image), image)
    assert cv2.countNonZero(blurred(image)[..., 0]) == size[0] * size[1]
