"""Places of labels: inside the image, never over each other, near what they name."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.core.arrays import Box
from perception_contrast.visualization.label_placement import LabelRequest, place_labels

SIZES = ((640, 480), (1920, 1080))


@st.composite
def crowds(draw: st.DrawFn) -> tuple[tuple[int, int], list[LabelRequest]]:
    """Up to a dozen things of any size at any place, often at the same one, with labels of any length."""
    width, height = draw(st.sampled_from(SIZES))
    requests = []
    for _ in range(draw(st.integers(1, 12))):
        x0, y0 = draw(st.integers(0, width - 2)), draw(st.integers(0, height - 2))
        x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
        plate = draw(st.integers(12, width // 3)), height // 30
        anchor = draw(st.integers(x0, x1 - 1)), draw(st.integers(y0, y1 - 1))
        requests.append(LabelRequest(plate, (x0, y0, x1, y1), anchor, draw(st.booleans())))
    return (width, height), requests


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@settings(deadline=None, max_examples=60)
@given(crowds())
def test_every_label_of_a_dozen_is_placed_inside_the_image_and_over_no_other(
    crowd: tuple[tuple[int, int], list[LabelRequest]],
) -> None:
    (width, height), requests = crowd
    strip = (0, height - 20, width, height)
    placed = [one for one in place_labels(requests, np.zeros((height, width), bool), [strip]) if one]
    assert len(placed) == len(requests)
    for one, request in zip(placed, requests, strict=True):
        x0, y0, x1, y1 = one.box
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
        assert (x1 - x0, y1 - y0) == request.size
        if one.leader is not None:
            assert one.leader[1] == request.anchor
            assert x0 <= one.leader[0][0] < x1 and y0 <= one.leader[0][1] < y1
    boxes = [one.box for one in placed]
    assert not any(overlap(*pair) for pair in itertools.combinations([*boxes, strip], 2))


def test_a_label_stands_above_its_thing_and_below_where_there_is_no_room_above() -> None:
    free = np.zeros((480, 640), bool)
    (middle,) = place_labels([LabelRequest((60, 16), (100, 200, 180, 260), (140, 230))], free)
    small = np.zeros((480, 640), bool)
    small[4:60, 100:180] = True
    (top,) = place_labels([LabelRequest((60, 16), (100, 4, 180, 60), (140, 30))], small)
    assert middle is not None and middle.box == (100, 184, 160, 200) and middle.leader is None
    assert top is not None and top.leader is None and (top.box[1] >= 60 or top.box[2] <= 100)


def test_small_things_stay_visible() -> None:
    small = np.zeros((480, 640), bool)
    small[150:200, 90:200] = True
    (label,) = place_labels([LabelRequest((60, 16), (100, 200, 180, 260), (140, 230))], small)
    assert label is not None
    x0, y0, x1, y1 = label.box
    assert not small[y0:y1, x0:x1].any()


def test_a_label_far_from_its_thing_has_a_leader_and_one_without_room_is_left_out() -> None:
    blocked = [(0, 100, 640, 400)]
    request = LabelRequest((60, 16), (300, 240, 320, 260), (310, 250))
    free = np.zeros((480, 640), bool)
    (far,) = place_labels([request], free, blocked)
    assert far is not None and far.leader is not None and far.leader[1] == (310, 250)
    assert place_labels([request], free, [(0, 0, 640, 480)]) == [None]
    assert place_labels([LabelRequest((60, 16), (0, 0, 9, 9), (4, 4))], np.zeros((12, 40), bool)) == [None]
