"""Thumbnails: bounded, of the thing, and only replaced by a better view."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from block_room import Block, detection_of

from perception_contrast.core.detection import Detection, Scores
from perception_contrast.mapping.objects.map_object import Thumbnail
from perception_contrast.mapping.objects.thumbnails import better_thumbnail

MUG = Block("mug", (0, 0, 0), (1, 1, 1))


def detected(x0: int, y0: int, x1: int, y1: int, probability: float = 0.8) -> Detection:
    mask = np.zeros((480, 640), bool)
    mask[y0:y1, x0:x1] = True
    return replace(detection_of(mask, MUG), scores=Scores(0.3, 0.7, probability))


def test_the_crop_shows_the_thing_at_a_bounded_size() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[100:400, 200:320] = (250, 10, 10)
    made = better_thumbnail(Thumbnail(), detected(200, 100, 320, 400), image, 96)
    picture = cv2.imdecode(np.frombuffer(made.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert max(picture.shape[:2]) == 96
    middle = picture[picture.shape[0] // 2, picture.shape[1] // 2, ::-1]
    assert middle[0] > 200 and middle[1] < 60
    assert len(made.jpeg) < 8_000


def test_a_better_view_replaces_it_and_a_worse_one_does_not() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    first = better_thumbnail(Thumbnail(), detected(200, 100, 320, 400), image, 96)
    for worse in (
        detected(200, 100, 260, 160),
        detected(200, 100, 320, 400, 0.4),
        detected(0, 100, 130, 400),
    ):
        assert better_thumbnail(first, worse, image, 96) is first
    assert better_thumbnail(first, detected(100, 50, 500, 450), image, 96).quality > first.quality
    assert better_thumbnail(first, detected(100, 50, 500, 450), None, 96) is first
