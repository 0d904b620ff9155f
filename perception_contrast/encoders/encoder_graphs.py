"""What an engine runs: images in, a fixed tuple of named tensors out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from perception_contrast.encoders.alignment_head import colour_statistics
from perception_contrast.encoders.clip import ClipTower
from perception_contrast.encoders.dense.method_names import LIT, PROXY
from perception_contrast.encoders.dinov2 import DinoTower
from perception_contrast.encoders.household_lit import HouseholdLit
from perception_contrast.models.specs import Triple


class EncoderGraph(nn.Module):
    """images (B, 3, H, W) float32, normalised, to the tensors that ``names`` names, in that order.

    "tokens" (B, h, w, c) and "cls" (B, c) of a spatial tower, raw; "dense" (B, h, w, dim) and "image"
    (B, dim) of a language-aligned one, unit, or by proxyclip "values" (B, h, w, width), raw, in place of
    "dense"; "grid" (B, h', w', dim) and "image" (B, dim) of household-lit, unit, and "things"
    (B, h', w', 4) as ``AlignmentHead.grid`` gives them, where its head tells things apart; "layers"
    (B, h, w, layers * c), raw blocks one after the other, of a tower that a zoom head reads. model, space:
    of the tower, or of household-lit where ``grid`` is among them. method: the way to dense language
    features, "" where there are none.
    """

    names: tuple[str, ...]
    model: str
    space: str
    method: str
    patch: int
    mean: Triple
    std: Triple

    def __init__(self, tower: DinoTower | ClipTower, names: tuple[str, ...], model: str, space: str) -> None:
        super().__init__()
        self.tower = tower
        self.names, self.model, self.space, self.method = names, model, space, ""
        self.patch, self.mean, self.std = tower.patch, tower.mean, tower.std


class SpatialGraph(EncoderGraph):
    """A tower of images alone."""

    def __init__(self, tower: DinoTower) -> None:
        super().__init__(tower, ("tokens", "cls"), tower.model, tower.space)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        seen = self.tower(images)
        return seen.tokens, seen.cls


class LanguageGraph(EncoderGraph):
    """The image side of a CLIP or SigLIP."""

    def __init__(self, tower: ClipTower) -> None:
        grid = "values" if tower.method == PROXY else "dense"
        super().__init__(tower, (grid, "image"), tower.model, tower.space)
        self.method = tower.method

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        seen = self.tower(images)
        return seen.values if self.method == PROXY else seen.dense, seen.image


class AlignedGraph(EncoderGraph):
    """household-lit: its tower and its head in one pass."""

    def __init__(self, lit: HouseholdLit) -> None:
        names = ("tokens", "cls", "grid", "picture", *(("things",) if lit.head.config.things else ()))
        super().__init__(lit.tower, names, lit.model, lit.space)
        self.method = LIT
        self.head, self.layers = lit.head, lit.layers
        self.cell = lit.patch // lit.head.config.up
        self.register_buffer("_mean", torch.tensor(lit.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(lit.std).view(1, 3, 1, 1), persistent=False)
        self._mean: Tensor
        self._std: Tensor

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        seen = self.tower(images, self.layers)
        # Colours come from the image itself, never from a reduced number format.
        colours = colour_statistics(images * self._std + self._mean, self.cell)
        grid, trunk, things = self.head.grid(seen.layers, colours)
        found = (seen.tokens, seen.cls, grid, self.head.image_embedding(seen.cls, trunk))
        return found if things is None else (*found, things)


class RescoringGraph(EncoderGraph):
    """The blocks of a tower that a zoom head reads."""

    def __init__(self, tower: DinoTower, layers: tuple[int, ...]) -> None:
        super().__init__(tower, ("layers",), tower.model, tower.space)
        self.layers = layers

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return (torch.cat(self.tower(images, self.layers).layers, dim=-1),)


def dense_name(names: tuple[str, ...]) -> str:
    """Which of a language graph's outputs are its cells' vectors."""
    return "grid" if "grid" in names else "dense"


def pooled_name(names: tuple[str, ...]) -> str:
    """Which of a language graph's outputs is the vector of the whole image."""
    return "picture" if "picture" in names else "image"


def graph_of(tower: DinoTower | ClipTower, lit: HouseholdLit | None = None) -> EncoderGraph:
    """The graph of a tower, or of household-lit where that is given with the tower it stands on."""
    if lit is not None:
        graph: EncoderGraph = AlignedGraph(lit)
    elif isinstance(tower, DinoTower):
        graph = SpatialGraph(tower)
    else:
        graph = LanguageGraph(tower)
    device = next((parameter.device for parameter in tower.parameters()), torch.device("cpu"))
    return graph.eval().requires_grad_(False).to(device)


def language_grid(
    tower: DinoTower | ClipTower, words: Mapping[str, Tensor], image: Mapping[str, Tensor]
) -> Tensor:
    """Dense language features (B, h, w, dim), unit, of what the graphs of both encoders gave.

    words: of the language model, which stands on ``tower``. image: of the spatial tower; read by
    proxyclip alone, whose features have its grid.
    """
    for name in ("grid", "dense"):
        if name in words:
            return words[name]
    assert isinstance(tower, ClipTower)
    with torch.inference_mode():
        return tower.by_proxy(words["values"], image["tokens"])
