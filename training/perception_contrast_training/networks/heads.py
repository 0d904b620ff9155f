"""What stands on a backbone while it learns, and is left out of what is exported."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception_contrast_training.networks.batch_norm import BatchNorm


def simclr_head(width: int, hidden: int, dim: int, layers: int = 2, batch_norm: bool = True) -> nn.Sequential:
    """SimCLR's projection (Chen et al. 2020): linear layers, ReLU between them.

    batch_norm: after each of them, as in the authors' code; without, layers have biases, as in the paper.
    """
    widths = [width, *[hidden] * (layers - 1), dim]
    parts: list[nn.Module] = []
    for index in range(layers):
        parts.append(nn.Linear(widths[index], widths[index + 1], bias=not batch_norm))
        if batch_norm:
            parts.append(BatchNorm(widths[index + 1]))
        if index < layers - 1:
            parts.append(nn.ReLU())
    return nn.Sequential(*parts)


def byol_mlp(width: int, hidden: int, dim: int, batch_norm: bool = True) -> nn.Sequential:
    """BYOL's projector and predictor (Grill et al. 2020): linear, batch norm, ReLU, linear.

    No biases: batch norm takes the first one's away, and the authors' code gives the second none.
    """
    return nn.Sequential(
        nn.Linear(width, hidden, bias=not batch_norm),
        BatchNorm(hidden) if batch_norm else nn.Identity(),
        nn.ReLU(),
        nn.Linear(hidden, dim, bias=False),
    )


def expander(width: int, hidden: int, dim: int, layers: int = 3, batch_norm: bool = True) -> nn.Sequential:
    """The projector of VICReg and Barlow Twins: linear layers, batch norm and ReLU between them.

    batch_norm: without it, as gradient caching needs it, the layers have biases.
    """
    parts: list[nn.Module] = []
    for _ in range(layers - 1):
        parts.append(nn.Linear(width, hidden, bias=not batch_norm))
        parts += [BatchNorm(hidden), nn.ReLU()] if batch_norm else [nn.ReLU()]
        width = hidden
    return nn.Sequential(*parts, nn.Linear(width, dim, bias=False))


class Prototypes(nn.Module):
    """A linear layer whose rows have unit length times ``gain``: weight normalisation (Salimans 2016)."""

    def __init__(self, width: int, count: int, *, gain_learned: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.Linear(width, count, bias=False).weight.detach())
        self.gain = nn.Parameter(torch.ones(count)) if gain_learned else None

    def forward(self, x: Tensor) -> Tensor:
        logits = F.linear(x, F.normalize(self.weight, dim=1))
        return logits if self.gain is None else logits * self.gain


class DinoHead(nn.Module):
    """DINO's head (Caron et al. 2021): an MLP with GELU, unit length, prototypes."""

    def __init__(
        self,
        width: int,
        prototypes: int,
        hidden: int = 2048,
        bottleneck: int = 256,
        layers: int = 3,
        *,
        gain_learned: bool = False,
    ) -> None:
        super().__init__()
        widths = [width, *[hidden] * (layers - 1), bottleneck]
        parts: list[nn.Module] = []
        for index in range(layers):
            linear = nn.Linear(widths[index], widths[index + 1])
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)
            parts += [linear, nn.GELU()] if index < layers - 1 else [linear]
        self.mlp = nn.Sequential(*parts)
        self.prototypes = Prototypes(bottleneck, prototypes, gain_learned=gain_learned)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) to logits (n, prototypes)."""
        # Under half precision 1e-12 is zero, and a vector of zeros would become one of NaN.
        logits: Tensor = self.prototypes(F.normalize(self.mlp(x), dim=-1, eps=1e-6))
        return logits
