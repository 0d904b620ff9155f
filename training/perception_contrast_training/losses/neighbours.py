"""Keeps who is near whom: similarities of a space against those of the space that it is made from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from perception_contrast_training.losses.full_precision import exact


@exact
def neighbour_loss(reference: Tensor, similarity: Tensor, temperature: float = 0.1) -> Tensor:
    """Divergence of each row's neighbours from those of a reference; what is itself is left out.

    Args:
        reference: (n, n) cosines in the space that is to be kept.
        similarity: (n, n) cosines in the space that learns.
        temperature: Of both softmaxes.

    Returns:
        () mean over rows of KL(reference || similarity), 0 if the neighbourhoods are the same.

    Example:
        >>> same = torch.eye(3)
        >>> neighbour_loss(same, same).item()
        0.0

    Source: Park et al., "Relational Knowledge Distillation", CVPR 2019, with the softmax of Peng et al.,
        "Correlation Congruence for Knowledge Distillation", ICCV 2019.
    """
    itself = torch.eye(len(reference), dtype=torch.bool, device=reference.device)
    wanted, given = (one.masked_fill(itself, -1e4) / temperature for one in (reference, similarity))
    return F.kl_div(
        given.log_softmax(dim=1), wanted.log_softmax(dim=1), reduction="batchmean", log_target=True
    )
