"""The networks of heads: patch features of a frozen encoder to scores, boxes and labels.

The detection head is that of FCOS (Tian et al., ICCV 2019) on one level, since a ViT's patches have one size.
Each patch speaks for several locations, as in sub-pixel convolution (Shi et al., CVPR 2016). Hidden layers
are dilated, since one level has to hold things of all sizes (Chen et al., YOLOF, CVPR 2021). The branch of
quality foretells a box's IoU in place of centreness (Wu et al., IoU-aware detector, 2020).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception_contrast.heads.head_card import HeadCard, HeadSettings

PRIOR = 0.01  # of a class at a location, before training (Lin et al., focal loss, ICCV 2017)
GROUPS = 8
FARTHEST = 5  # layers, after which dilation begins anew at 1
SHRINKAGE = 0.05  # of the mean variance, added to that of each direction
_LOG_SIDES = (-4.0, 5.0)  # of a box's edges from its location, in patches


class Whitened(nn.Module):
    """Features (..., c) with the mean of the training frames taken out, and their directions made alike.

    Features of an encoder vary a hundred times more in some directions than in others. Without that a linear
    layer takes ten times the steps to learn.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("matrix", torch.eye(dim))

    def fit(self, features: Tensor) -> None:
        """Measures features (n, c). What varies least, which is noise, is held back by ``SHRINKAGE``."""
        self.mean.copy_(features.mean(dim=0))
        centred = (features - self.mean).double()
        values, vectors = torch.linalg.eigh(centred.T @ centred / max(1, len(features) - 1))
        scale = (values.clamp_min(0.0) + SHRINKAGE * values.mean() + 1e-8).rsqrt()
        self.matrix.copy_(vectors * scale @ vectors.T)

    def forward(self, features: Tensor) -> Tensor:
        whitened: Tensor = (features - self.mean) @ self.matrix
        return whitened


class _Block(nn.Module):
    """A residual convolution of 3 x 3 patches, ``dilation`` apart."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(math.gcd(GROUPS, width), width)
        self.convolution = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.convolution(F.gelu(self.norm(x)))
        return added


class _Trunk(nn.Module):
    """Features (B, h, w, c) to whitened ones (B, c, h, w) and to hidden ones (B, width, h, w)."""

    def __init__(self, dim: int, settings: HeadSettings, dropout: float) -> None:
        super().__init__()
        self.whitened = Whitened(dim)
        self.dropout = nn.Dropout(dropout)
        self.first = nn.Conv2d(dim, settings.width, 1)
        self.blocks = nn.Sequential(
            *(
                _Block(settings.width, 2 ** (index % FARTHEST) if settings.dilated else 1)
                for index in range(settings.blocks)
            )
        )
        self.norm = nn.GroupNorm(math.gcd(GROUPS, settings.width), settings.width)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.dropout(self.whitened(features)).permute(0, 3, 1, 2)
        return x, F.gelu(self.norm(self.blocks(self.first(x))))


class _ClassLayer(nn.Module):
    """Logits of each location: linear in the features of its patch, and in the hidden ones.

    The linear part learns within a few steps what the encoder tells apart already.
    """

    def __init__(self, dim: int, width: int, outputs: int, enlargement: int) -> None:
        super().__init__()
        self.linear = nn.Conv2d(dim, outputs * enlargement**2, 1, bias=False)
        self.hidden = nn.Conv2d(width, outputs * enlargement**2, 1)
        nn.init.normal_(self.linear.weight, std=0.002)
        _start(self.hidden)
        self._enlargement = enlargement

    def forward(self, features: Tensor, hidden: Tensor) -> Tensor:
        """(B, outputs, h * enlargement, w * enlargement)."""
        return F.pixel_shuffle(self.linear(features) + self.hidden(hidden), self._enlargement)


class NameScores(nn.Module):
    """How well each location agrees with the names of the classes, as texts of the language model.

    A head that begins with what the words find has only to learn where they are wrong, as CLIP-Adapter does
    (Gao et al., IJCV 2024).
    """

    directions: Tensor
    offsets: Tensor

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("directions", torch.zeros(classes, dim))
        self.register_buffer("offsets", torch.zeros(classes))
        self.gains = nn.Parameter(torch.ones(classes))

    def fit(self, features: Tensor, texts: Tensor) -> None:
        """Makes the scores of training features (n, dim) alike in mean and spread.

        Args:
            features: Of the training frames; numbers behind the text's dimensions count for nothing.
            texts: (classes, c) unit vectors of the names, c at most dim.
        """
        rows = F.pad(texts, (0, self.directions.shape[1] - texts.shape[1]))
        scores = features @ rows.T
        spread = scores.std(dim=0).clamp_min(1e-6)
        self.directions.copy_(rows / spread[:, None])
        self.offsets.copy_(-scores.mean(dim=0) / spread)

    def forward(self, features: Tensor) -> Tensor:
        """(B, classes, h, w) of features (B, h, w, dim)."""
        scores: Tensor = (F.linear(features, self.directions, self.offsets) * self.gains).permute(0, 3, 1, 2)
        return scores


def _start(layer: nn.Conv2d, bias: float = 0.0) -> None:
    """Weights near nothing, so that outputs begin at the bias."""
    nn.init.normal_(layer.weight, std=0.01)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, bias)


class LocationOutputs(NamedTuple):
    """Of a detection head, n locations in the order of rows.

    Attributes:
        classes: (B, n, k) logits of the classes.
        sides: (B, n, 4), distances of the box's left, top, right and bottom edges from the location, in
            patches, above 0.
        quality: (B, n) logits of the IoU of the box with the thing's.
        inside: (B, n, k) logits that the location itself lies on a thing of each class.
    """

    classes: Tensor
    sides: Tensor
    quality: Tensor
    inside: Tensor


class DetectionNetwork(nn.Module):
    """Boxes, classes and masks of things."""

    def __init__(self, dim: int, classes: int, settings: HeadSettings, dropout: float = 0.0) -> None:
        super().__init__()
        width, self._enlargement = settings.width, settings.enlargement
        parts = settings.enlargement**2
        self.trunk = _Trunk(dim, settings, dropout)
        self.names = NameScores(dim, classes) if settings.named else None
        self.classes = _ClassLayer(dim, width, classes, settings.enlargement)
        self.inside = _ClassLayer(dim, width, classes, settings.enlargement)
        self.sides = nn.Conv2d(width, 4 * parts, 1)
        self.quality = nn.Conv2d(width, parts, 1)
        rare = math.log(PRIOR / (1 - PRIOR))
        for layer, bias in (
            (self.classes.hidden, rare),
            (self.inside.hidden, rare),
            (self.sides, math.log(2.0)),
            (self.quality, 0.0),
        ):
            _start(layer, bias)

    def forward(self, features: Tensor) -> LocationOutputs:
        """features: (B, h, w, c)."""
        x, hidden = self.trunk(features)
        sides, quality = (
            F.pixel_shuffle(layer(hidden), self._enlargement) for layer in (self.sides, self.quality)
        )
        classes, inside = self.classes(x, hidden), self.inside(x, hidden)
        if self.names is not None:
            named = _enlarged(self.names(features), self._enlargement)
            classes, inside = classes + named, inside + named
        return LocationOutputs(
            _rows(classes),
            _rows(sides).clamp(*_LOG_SIDES).exp(),
            _rows(quality)[..., 0],
            _rows(inside),
        )


class SegmentationNetwork(nn.Module):
    """Logits of the classes, and of none of them, at each location."""

    def __init__(self, dim: int, classes: int, settings: HeadSettings, dropout: float = 0.0) -> None:
        super().__init__()
        self.trunk = _Trunk(dim, settings, dropout)
        self._enlargement = settings.enlargement
        self.names = NameScores(dim, classes) if settings.named else None
        self.labels = _ClassLayer(dim, settings.width, classes + 1, settings.enlargement)

    def forward(self, features: Tensor) -> Tensor:
        """(B, classes + 1, h * enlargement, w * enlargement) of features (B, h, w, c)."""
        logits: Tensor = self.labels(*self.trunk(features))
        if self.names is not None:
            named = _enlarged(self.names(features), self._enlargement)
            logits = logits + F.pad(named, (0, 0, 0, 0, 0, 1))  # nothing is known of "no class"
        return logits


class ClassificationNetwork(nn.Module):
    """Logits of the classes of a whole image."""

    def __init__(self, dim: int, classes: int, settings: HeadSettings, dropout: float = 0.0) -> None:
        super().__init__()
        self.whitened = Whitened(2 * dim)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(2 * dim, classes)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, classes) of (B, 2 c): the encoder's vector of the image, and the mean of its patches."""
        logits: Tensor = self.linear(self.dropout(self.whitened(pooled)))
        return logits


def network_of(card: HeadCard, dropout: float = 0.0) -> nn.Module:
    """The network of a head, with weights at random."""
    kinds = {
        "detection": DetectionNetwork,
        "segmentation": SegmentationNetwork,
        "classification": ClassificationNetwork,
    }
    return kinds[card.task](card.dim, len(card.classes), card.settings, dropout)


def whitening_of(network: nn.Module) -> Whitened:
    """The part of a network that training fits to its features first."""
    return next(part for part in network.modules() if isinstance(part, Whitened))


def locations(rows: int, columns: int, enlargement: int) -> Tensor:
    """(rows * columns * enlargement ** 2, 2) x, y of the locations of a grid, in patches from its corner."""
    ys = (torch.arange(rows * enlargement) + 0.5) / enlargement
    xs = (torch.arange(columns * enlargement) + 0.5) / enlargement
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def boxes_at(places: Tensor, sides: Tensor) -> Tensor:
    """(..., 4) x0, y0, x1, y1 of boxes by their locations (..., 2) and the distances of their edges."""
    return torch.cat([places - sides[..., :2], places + sides[..., 2:]], dim=-1)


def _enlarged(maps: Tensor, enlargement: int) -> Tensor:
    """(B, c, h, w) to (B, c, h * enlargement, w * enlargement): the locations of a patch are alike."""
    return maps.repeat_interleave(enlargement, 2).repeat_interleave(enlargement, 3)


def _rows(maps: Tensor) -> Tensor:
    """(B, c, h, w) to (B, h * w, c)."""
    return maps.flatten(2).transpose(1, 2)
