"""The regression loss of BYOL (Grill et al., NeurIPS 2020)."""

from __future__ import annotations

from torch import Tensor

from perception_contrast_training.losses.full_precision import exact
from perception_contrast_training.losses.unit_vectors import require_same, unit


@exact
def byol_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance of unit vectors, 2 - 2 cos, mean over rows.

    Args:
        prediction: (n, c) what the online network predicts of the target.
        target: (n, c) what the slow network gives; it gets no gradient.

    Returns:
        () loss, from 0 (alike) to 4.

    Raises:
        ValueError: The shapes differ, or there are no rows.

    Example:
        >>> byol_loss(torch.eye(2), torch.eye(2)).item()
        0.0

    Source: Grill et al., "Bootstrap Your Own Latent" (BYOL), NeurIPS 2020, equation 2.
    """
    require_same("prediction and target", prediction, target)
    cosine = (unit(prediction) * unit(target.detach())).sum(dim=-1)
    return (2.0 - 2.0 * cosine).mean()
