"""Which location is to find which thing."""

from __future__ import annotations

import torch

from perception_contrast.heads.head_networks import locations
from perception_contrast_training.heads.box_targets import NOTHING, assigned


def test_the_smaller_of_two_things_gets_the_location_that_both_could_have() -> None:
    places = locations(10, 10, 1)
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [4.0, 4.0, 6.0, 6.0]])
    found = assigned(places, boxes, 1)
    at = {tuple(place): index for index, place in enumerate(places.tolist())}
    assert found.found[at[(4.5, 4.5)]] == 1
    assert found.around[at[(0.5, 0.5)]] == 0
    assert found.found[at[(0.5, 0.5)]] == NOTHING  # far from the centre


def test_a_thing_between_the_locations_gets_the_nearest_one() -> None:
    places = locations(4, 4, 1)
    found = assigned(places, torch.tensor([[1.9, 1.9, 2.1, 2.1]]), 1)
    assert int((found.found == 0).sum()) == 1
    assert (places[found.found == 0] - 2.0).abs().max() <= 0.5


def test_a_frame_without_things_has_no_targets() -> None:
    found = assigned(locations(3, 3, 2), torch.zeros(0, 4), 2)
    assert (found.found == NOTHING).all() and (found.around == NOTHING).all()
