"""Ids of the detections of one image, and their values in its instance image."""

from __future__ import annotations

import numpy as np
import pytest

from perception_contrast.core.detection import (
    LARGEST_INSTANCE,
    Detection,
    Scores,
    frame_ids,
    instance_value,
)
from perception_contrast.core.vocabulary import UNLABELLED


def detection(track_id: str = "") -> Detection:
    return Detection("mug", Scores(0.5, 0.5, 0.9), (0, 0, 2, 2), np.ones((2, 2), bool), track_id=track_id)


def test_ids_are_those_of_tracks_and_else_the_numbers_of_detections() -> None:
    assert frame_ids([detection("7"), detection("3"), detection("7")]) == ("7", "3", "7")
    assert frame_ids([detection(), detection()]) == ("1", "2")
    assert frame_ids([]) == ()


@pytest.mark.parametrize(
    ("identity", "value"), [("1", 1), ("65534", 65534), ("65535", 1), ("65541", 7), ("131068", 65534)]
)
def test_values_are_the_numbers_of_ids_and_never_that_of_no_instance(identity: str, value: int) -> None:
    assert instance_value(identity) == value
    assert 1 <= value <= LARGEST_INSTANCE < UNLABELLED
