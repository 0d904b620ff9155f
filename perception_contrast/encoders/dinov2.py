"""DINOv2 towers (Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..cache import sha256_of
from ..errors import ModelError
from .grid import space_name
from .position import Positions, grid_of
from .registry import ModelSpec, Triple, model_spec
from .weights import Progress, load_strictly, load_tensors, weights_file


@dataclass(frozen=True)
class DinoOutput:
    """tokens (B, h, w, c) and cls (B, c) after the final norm; layers: (B, h, w, c) raw block outputs."""

    tokens: Tensor
    cls: Tensor
    layers: tuple[Tensor, ...] = ()


class DinoTower(nn.Module):
    """A DINOv2 vision transformer at any size that is a multiple of its patch.

    model, space: identity. patch: pixels. dim: channels. mean, std: of RGB in [0, 1].
    """

    def __init__(self, vit: nn.Module, spec: ModelSpec, space: str) -> None:
        super().__init__()
        self.vit: Any = vit  # timm declares no types for its parts
        self.model, self.space = spec.name, space
        self.patch, self.dim = spec.patch, spec.dim
        self.mean: Triple = spec.mean
        self.std: Triple = spec.std
        # As published: the models with registers were made with antialiasing, those without were not.
        self._positions = Positions(antialias="reg" in spec.arch)

    def forward(self, images: Tensor, layers: Sequence[int] = ()) -> DinoOutput:
        """images (B, 3, H, W) float, normalised by mean and std; layers: 0-based blocks to give as well."""
        rows, columns = grid_of(images, self.patch, self.model)
        vit = self.vit
        x = self._embed(images, rows, columns)
        kept: dict[int, Tensor] = {}
        for index, block in enumerate(vit.blocks):
            x = block(x)
            if index in layers:
                kept[index] = x
        x = vit.norm(x)
        first = vit.num_prefix_tokens

        def spatial(tokens: Tensor) -> Tensor:
            return tokens[:, first:].reshape(tokens.shape[0], rows, columns, -1)

        return DinoOutput(spatial(x), x[:, 0], tuple(spatial(kept[index]) for index in layers))

    def _embed(self, images: Tensor, rows: int, columns: int) -> Tensor:
        """Patch embedding plus position embedding, after the prefix tokens (class, registers)."""
        vit = self.vit
        x = vit.patch_embed.proj(images).flatten(2).transpose(1, 2)
        prefix = [vit.cls_token.expand(x.shape[0], -1, -1)]
        if vit.reg_token is not None:
            prefix.append(vit.reg_token.expand(x.shape[0], -1, -1))
        position: Tensor = vit.pos_embed
        if vit.no_embed_class:
            return torch.cat([*prefix, x + self._positions.at(position, rows, columns)], dim=1)
        patches = self._positions.at(position[:, 1:], rows, columns)
        return torch.cat([*prefix, x], dim=1) + torch.cat([position[:, :1], patches], dim=1)


def load_dino(
    name: str,
    *,
    device: str = "cpu",
    offline: bool = False,
    weights: Path | None = None,
    pinned: bool = False,
    progress: Progress | None = None,
) -> DinoTower:
    """A DINOv2 tower in evaluation mode without gradients. ``weights``: a local file in timm's names.

    ``pinned``: the weights whose sha256 is fixed here, whatever a hub offers. Raises ModelError.
    """
    import timm

    spec = model_spec(name)
    if spec.family != "dinov2":
        raise ModelError(f"'{name}' is no DINOv2 model; choose one of the dinov2-* models")
    path = weights or weights_file(spec, offline=offline, pinned=pinned, progress=progress)
    state = load_tensors(path)
    state.pop("mask_token", None)
    vit = timm.create_model(spec.arch, pretrained=False, num_classes=0, img_size=spec.size)
    load_strictly(vit, state, path)
    tower = DinoTower(vit, spec, space_name(spec.name, sha256_of(path)))
    return tower.eval().requires_grad_(False).to(device)
