"""Sinkhorn-Knopp: balanced assignments to prototypes, of SwAV and DINOv2."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from perception_contrast_training.losses.full_precision import exact


def _identity(x: Tensor) -> Tensor:
    return x


@exact
def sinkhorn_knopp(
    logits: Tensor,
    temperature: float,
    iterations: int = 3,
    summed: Callable[[Tensor], Tensor] = _identity,
    largest: Callable[[Tensor], Tensor] = _identity,
) -> Tensor:
    """Assignments of samples to prototypes that use all prototypes alike; without gradient.

    Args:
        logits: (n, k) of samples and prototypes.
        temperature: That logits are divided by.
        iterations: Normalisations of columns and rows.
        summed: The sum over processes, where each holds some of the samples.
        largest: The maximum over processes.

    Returns:
        (n, k): rows sum to 1, columns to n / k once it has converged.

    Example:
        >>> sinkhorn_knopp(torch.zeros(2, 2), 0.05).tolist()
        [[0.5, 0.5], [0.5, 0.5]]

    Source: Cuturi, NeurIPS 2013; Caron et al., "Unsupervised Learning of Visual Features by Contrasting
    Cluster Assignments" (SwAV), NeurIPS 2020.
    """
    with torch.no_grad():
        scaled = logits / temperature
        samples, prototypes = summed(scaled.new_tensor(float(len(scaled)))), scaled.shape[1]
        # A constant factor falls out of the first normalisation; without it exp overflows.
        most = largest(scaled.amax() if scaled.numel() else scaled.new_tensor(float("-inf")))
        shares = torch.exp(scaled - most)
        shares = shares / summed(shares.sum())
        for _ in range(iterations):
            # Where exp underflows for all samples there is nothing to share out, and nothing to divide by.
            columns = summed(shares.sum(dim=0, keepdim=True)) * prototypes
            shares = shares / columns.clamp_min(torch.finfo(shares.dtype).tiny)
            rows = shares.sum(dim=1, keepdim=True) * samples
            shares = shares / rows.clamp_min(torch.finfo(shares.dtype).tiny)
        return shares * samples
