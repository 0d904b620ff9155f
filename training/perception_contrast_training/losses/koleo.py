"""KoLeo, the regulariser that spreads vectors (Sablayrolles et al., ICLR 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from perception_contrast_training.losses.full_precision import exact


@exact
def koleo_loss(x: Tensor, epsilon: float = 1e-8) -> Tensor:
    """Mean of -log of each vector's distance to its nearest other one: it spreads vectors evenly.

    Args:
        x: (n, c), normalised here. Two equal rows stay finite.
        epsilon: Added to lengths and distances.

    Returns:
        () loss.

    Raises:
        ValueError: There are no rows.

    Example:
        >>> round(koleo_loss(torch.eye(3)).item(), 4)
        -0.3466

    Source: Sablayrolles et al., "Spreading vectors for similarity search", ICLR 2019.
    """
    if not len(x):
        raise ValueError("no vectors, whose nearest ones are asked for")
    unit = F.normalize(x, dim=-1, eps=epsilon)
    with torch.no_grad():
        likeness = unit @ unit.T
        likeness.fill_diagonal_(-1.0)
        nearest = likeness.argmax(dim=1)
    distance = F.pairwise_distance(unit, unit[nearest], p=2.0, eps=epsilon)
    return -torch.log(distance + epsilon).mean()
