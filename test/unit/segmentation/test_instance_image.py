"""The instance image: whose pixels are whose."""

from __future__ import annotations

import numpy as np

from perception_contrast.core.detection import Detection, Scores
from perception_contrast.core.vocabulary import UNLABELLED
from perception_contrast.segmentation.masks.instance_image import instance_image


def found(box: tuple[int, int, int, int], p: float, track_id: str = "") -> Detection:
    x0, y0, x1, y1 = box
    mask = np.ones((y1 - y0, x1 - x0), bool)
    mask[0, 0] = False
    return Detection("mug", Scores(0.5, 0.5, p), box, mask, track_id=track_id)


def test_pixels_are_of_the_most_probable_thing_whatever_the_order() -> None:
    things = [
        found((2, 2, 8, 8), 0.4, "9"),
        found((4, 4, 10, 12), 0.9, "70000"),
        found((0, 0, 3, 3), 0.6, "5"),
    ]
    image = instance_image(things, (16, 12))
    assert image.shape == (16, 12) and image.dtype == np.uint16
    expected = np.full((16, 12), UNLABELLED, np.uint16)
    for one, value in ((things[0], 9), (things[2], 5), (things[1], 70000 - 65534)):
        x0, y0, x1, y1 = one.box
        expected[y0:y1, x0:x1][one.mask] = value
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(instance_image(things[::-1], (16, 12)), expected)


def test_untracked_things_have_the_numbers_of_their_order_and_the_first_of_equals_wins() -> None:
    image = instance_image([found((0, 0, 6, 6), 0.5), found((2, 2, 9, 9), 0.5)], (10, 10))
    assert image[5, 5] == 1 and image[8, 8] == 2 and image[9, 9] == UNLABELLED and image[0, 0] == UNLABELLED
    assert (instance_image([], (4, 5)) == UNLABELLED).all()
