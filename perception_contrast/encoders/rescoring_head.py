"""The rescoring head of household-lit: enlarged crops of regions to vectors in the space of its words.

In a whole image an object of 40 pixels has a handful of tokens; in a crop it has as many as a large one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception_contrast.core.cache import sha256_of
from perception_contrast.core.errors import ModelError
from perception_contrast.core.file_writing import writing

SIDE = 112  # pixels of an enlarged crop
LAYOUT = 4  # rows and columns of the coarse layout of a crop
FORMAT = "zoom"


@dataclass(frozen=True)
class Pooled:
    """Features of n crops, pooled without learned weights.

    Attributes:
        inside, outside: (n, c), mean tokens under and beside the mask.
        layout: (n, LAYOUT, LAYOUT, c), mean tokens of each cell of a coarse grid.
        place: (n, LAYOUT, LAYOUT), share of each such cell that the mask covers.
        colours: (n, 6), mean and deviation of R, G, B under the mask.
        form: (n, 2), log10 of the region's share of the image, log of its height over its width.
    """

    inside: Tensor
    outside: Tensor
    layout: Tensor
    place: Tensor
    colours: Tensor
    form: Tensor


def pooled(tokens: Tensor, masks: Tensor, rgb: Tensor, form: Tensor) -> Pooled:
    """Pools the features of n crops.

    Args:
        tokens: (n, g, g, c).
        masks: (n, g, g) in [0, 1], share of a cell that the region covers.
        rgb: (n, 3, s, s) in [0, 1].
        form: (n, 2), as of ``Pooled``.
    """
    weight = masks.flatten(1).clamp_min(1e-4)
    beside = (1.0 - masks).flatten(1).clamp_min(1e-4)
    flat = tokens.flatten(1, 2)
    inside = torch.einsum("np,npc->nc", weight / weight.sum(1, keepdim=True), flat)
    outside = torch.einsum("np,npc->nc", beside / beside.sum(1, keepdim=True), flat)
    layout = F.adaptive_avg_pool2d(tokens.permute(0, 3, 1, 2), LAYOUT).permute(0, 2, 3, 1)
    place = F.adaptive_avg_pool2d(masks[:, None], LAYOUT)[:, 0]
    fine = F.interpolate(masks[:, None], rgb.shape[-2:], mode="bilinear").clamp_min(1e-4)
    share = fine / fine.sum(dim=(2, 3), keepdim=True)
    mean = (rgb * share).sum(dim=(2, 3))
    square = (rgb * rgb * share).sum(dim=(2, 3))
    deviation = (square - mean * mean).clamp_min(0.0).add(1e-6).sqrt()
    return Pooled(inside, outside, layout, place, torch.cat([mean - 0.5, 2 * deviation], dim=1), form)


@dataclass(frozen=True)
class RescoringConfig:
    """Sizes of a rescoring head.

    Attributes:
        channels: of the tokens, all layers together.
        layers: number of layers that are read.
        width: of the trunk.
        cell: channels per cell of the layout.
        dim: of the space shared with words.
        blocks: residual blocks of the trunk.
    """

    channels: int = 1152
    layers: int = 3
    width: int = 512
    cell: int = 48
    dim: int = 256
    blocks: int = 2


class RescoringHead(nn.Module):
    """Pooled crops to unit vectors in the space of a language model's words."""

    def __init__(self, config: RescoringConfig | None = None) -> None:
        super().__init__()
        self.config = config or RescoringConfig()
        c = self.config
        single = c.channels // c.layers
        self.norms = nn.ModuleList(nn.LayerNorm(single) for _ in range(3 * c.layers))
        self.inside = nn.Linear(c.channels, c.width)
        self.outside = nn.Linear(c.channels, c.width)
        self.cells = nn.Linear(c.channels, c.cell)
        self.layout = nn.Linear(LAYOUT * LAYOUT * (c.cell + 1), c.width)
        self.looks = nn.Linear(8, c.width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(c.width), nn.Linear(c.width, 2 * c.width), nn.GELU(), nn.Dropout(0.0),
                nn.Linear(2 * c.width, c.width),
            )
            for _ in range(c.blocks)
        )  # fmt: skip
        self.leave = nn.Sequential(nn.LayerNorm(c.width), nn.Linear(c.width, c.dim))
        # Of the inputs, in training alone; the trainer sets the share.
        self.drop = nn.Dropout(0.0)
        self.log_scale = nn.Parameter(torch.tensor(2.5))
        self.bias = nn.Parameter(torch.tensor(-6.0))

    def forward(self, views: Pooled) -> Tensor:
        """(n, dim) unit rows."""
        n = self.config.layers
        inside = self._normed(views.inside, self.norms[:n])
        outside = self._normed(views.outside, self.norms[n : 2 * n])
        cells = F.gelu(self.cells(self.drop(self._normed(views.layout, self.norms[2 * n :]))))
        layout = torch.cat([cells, views.place.unsqueeze(-1)], dim=-1).flatten(1)
        x = self.inside(self.drop(inside)) + self.outside(self.drop(outside)) + self.layout(self.drop(layout))
        x = x + self.looks(torch.cat([4 * views.colours, views.form], dim=-1))
        for block in self.blocks:
            x = x + block(x)
        return F.normalize(self.leave(x).float(), dim=-1)

    def _normed(self, tokens: Tensor, norms: Iterable[nn.Module]) -> Tensor:
        parts = tokens.chunk(self.config.layers, dim=-1)
        return torch.cat([norm(part) for norm, part in zip(norms, parts, strict=True)], dim=-1)

    def logits(self, cosine: Tensor) -> Tensor:
        """Log odds that a crop shows what a text names."""
        return self.log_scale.exp() * cosine.float() + self.bias


@dataclass(frozen=True)
class Rescoring:
    """A loaded rescoring head.

    Attributes:
        head: the head.
        layers: 0-based blocks of the image encoder that it reads.
        facts: what was written with the head.
    """

    head: RescoringHead
    layers: tuple[int, ...]
    facts: Mapping[str, str]


def save_rescoring_head(head: RescoringHead, path: Path, facts: dict[str, str]) -> None:
    """Writes the head in half precision, with its configuration and ``facts`` inside.

    facts: "image_space" and "word_space" that it was fitted to, "layers" that it reads (JSON), and what
    else is to be known of it.
    """
    from safetensors.torch import save

    tensors = {name: value.detach().half().contiguous() for name, value in head.state_dict().items()}
    metadata = {"format": FORMAT, "config": json.dumps(asdict(head.config)), **facts}
    with writing(path) as part:
        part.write_bytes(save(tensors, metadata=metadata))


def load_rescoring_head(path: Path) -> tuple[RescoringHead, dict[str, str], str]:
    """The head, the facts written with it and the sha256 of the file. Raises ModelError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as stored:
            facts = dict(stored.metadata() or {})
            tensors = {name: stored.get_tensor(name).float() for name in stored.keys()}  # noqa: SIM118
        if facts["format"] != FORMAT:
            raise ValueError(f"it holds a {facts['format']}")
        head = RescoringHead(RescoringConfig(**json.loads(facts["config"])))
        head.load_state_dict(tensors)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise ModelError(f"rescoring head '{path}' is not readable ({error}); restore the file") from error
    return head.eval(), facts, sha256_of(path)
