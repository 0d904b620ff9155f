"""Which location of a detection head is to find which thing (Tian et al., FCOS, ICCV 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CENTRE_SHARE = 0.2  # of a box's side to each side of its centre, where locations are to find it
CENTRE_LOCATIONS = 1.5  # or so many locations to each side, where that is more
NOTHING = -1


@dataclass(frozen=True)
class BoxTargets:
    """Of the n locations of one grid.

    Attributes:
        found: (n,) int64 index of the thing that a location is to report, NOTHING for none.
        around: (n,) int64 index of the smallest thing whose box the location lies in, NOTHING for none.
    """

    found: Tensor
    around: Tensor


def assigned(places: Tensor, boxes: Tensor, enlargement: int) -> BoxTargets:
    """The thing of each location: of several, the smallest one.

    Locations near a box's centre are to find it. A box with none gets the one nearest to its centre.

    Args:
        places: (n, 2) x, y in patches.
        boxes: (m, 4) x0, y0, x1, y1 in patches.
        enlargement: Locations per patch and side.
    """
    if not len(boxes):
        nothing = torch.full((len(places),), NOTHING)
        return BoxTargets(nothing, nothing.clone())
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    inside = ((places[:, None] >= boxes[None, :, :2]) & (places[:, None] < boxes[None, :, 2:])).all(-1)
    reach = torch.maximum(CENTRE_SHARE * sides, torch.full_like(sides, CENTRE_LOCATIONS / enlargement))
    central = inside & ((places[:, None] - centres[None]).abs() < reach[None]).all(-1)
    lost = (~central.any(dim=0)).nonzero()[:, 0]
    nearest = (places[:, None] - centres[None, lost]).square().sum(-1).argmin(dim=0)
    central[nearest, lost] = True
    areas = sides.prod(dim=1)
    return BoxTargets(_smallest(central, areas), _smallest(inside, areas))


def _smallest(allowed: Tensor, areas: Tensor) -> Tensor:
    """(n,) index of the smallest thing among those that are allowed (n, m) at a location."""
    spread = torch.where(allowed, areas[None], torch.inf)
    least, index = spread.min(dim=1)
    return torch.where(least.isfinite(), index, NOTHING)
