"""household-lit: a DINOv2 tower, a sentence tower, and the small head that aligns them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from perception_contrast.core.errors import ModelError
from perception_contrast.core.spaces import require_same_space, space_name
from perception_contrast.encoders.alignment_head import AlignmentHead, colour_statistics, load_alignment
from perception_contrast.encoders.dinov2 import DinoOutput, DinoTower
from perception_contrast.encoders.rescoring_head import RescoringHead, load_rescoring_head
from perception_contrast.models.logit_scale import LogitScale
from perception_contrast.models.registry import HOUSEHOLD_LIT
from perception_contrast.models.specs import Triple
from perception_contrast.text.text_tower import TextTower

HEAD_FILE = Path(__file__).parents[1] / "models" / "data" / "household_lit.safetensors"
RESCORING_FILE = Path(__file__).parents[1] / "models" / "data" / "household_zoom.safetensors"


class AlignedTextTower:
    """A sentence tower seen through the head's adapter for words."""

    def __init__(self, sentences: TextTower, head: AlignmentHead, space: str) -> None:
        self._sentences, self._head = sentences, head
        self.model, self.space, self.dim = HOUSEHOLD_LIT.name, space, head.config.dim
        self.wording = sentences.wording

    def canonical(self, text: str) -> str:
        """The sentence tower's."""
        return self._sentences.canonical(text)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, unit rows."""
        device = self._head.log_scale.device
        with torch.inference_mode():
            vectors = self._head.text_embedding(torch.from_numpy(self._sentences.encode(texts)).to(device))
        embedded: NDArray[np.float32] = vectors.float().cpu().numpy()
        return embedded


@dataclass(frozen=True)
class Rescoring:
    """What reads enlarged regions: a head, the tower's blocks that it reads, and facts written with it."""

    head: RescoringHead
    layers: tuple[int, ...]
    facts: Mapping[str, str]


class HouseholdLit(nn.Module):
    """Images and words in one small space.

    model, space: identity of that space, made of the head's sha256. layers: blocks of ``tower`` it
    reads. head: for its scales, biases and the adapter for examples. facts: written with the head. zoom:
    for enlarged regions, or None.
    """

    def __init__(
        self,
        tower: DinoTower,
        head: AlignmentHead,
        sentences: TextTower,
        space: str,
        facts: Mapping[str, str] | None = None,
        zoom: Rescoring | None = None,
    ) -> None:
        super().__init__()
        self.zoom = zoom
        self.facts: dict[str, str] = dict(facts or {})
        self.tower, self.head = tower, head
        self.model, self.space, self.dim = HOUSEHOLD_LIT.name, space, head.config.dim
        self.patch, self.layers = tower.patch, head.config.layers
        self.mean: Triple = tower.mean
        self.std: Triple = tower.std
        self.text = AlignedTextTower(sentences, head, space)

    @property
    def logit_scale(self) -> LogitScale:
        """Of whole images with captions, which the head learned by a softmax over them."""
        return LogitScale(self.head.log_scale[2].detach().exp().item())

    def see(self, images: Tensor, output: DinoOutput | None = None) -> tuple[Tensor, Tensor]:
        """images (B, 3, H, W), normalised, to unit vectors: grid (B, h, w, dim), image (B, dim).

        output: what ``tower`` gave for these images with ``layers``, to spare its forward pass. The
        grid is ``head.config.up`` times finer than the tower's.
        """
        output = output or self.tower(images, self.layers)
        mean, std = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in (self.mean, self.std))
        colours = colour_statistics(images * std + mean, self.patch // self.head.config.up)
        grid, trunk, _ = self.head.grid(output.layers, colours)
        return grid, self.head.image_embedding(output.cls, trunk)


def load_household_lit(
    tower: DinoTower,
    sentences: TextTower,
    *,
    device: str = "cpu",
    path: Path = HEAD_FILE,
    zoom: Path | None = None,
) -> HouseholdLit:
    """Puts the head on its towers. zoom: a zoom head; None takes the package's for the package's head.

    Raises ModelError, or SpaceError for heads that were fitted to others.
    """
    head, facts, sha256 = load_alignment(path)
    require_same_space(facts.get("image_space", tower.space), tower.space, f"alignment head {path.name}")
    require_same_space(
        facts.get("text_space", sentences.space), sentences.space, f"alignment head {path.name}"
    )
    space = space_name(HOUSEHOLD_LIT.name, sha256)
    chosen = zoom or (RESCORING_FILE if path == HEAD_FILE and RESCORING_FILE.is_file() else None)
    closer = None if chosen is None else _zoom(chosen, tower.space, space, device)
    model = HouseholdLit(tower, head, sentences, space, facts, closer)
    return model.eval().requires_grad_(False).to(device)


def _zoom(path: Path, image_space: str, word_space: str, device: str) -> Rescoring:
    head, facts, _ = load_rescoring_head(path)
    for key, space in (("image_space", image_space), ("word_space", word_space)):
        require_same_space(facts.get(key, ""), space, f"zoom head {path.name}")
    try:
        layers = tuple(int(layer) for layer in json.loads(facts["layers"]))
    except (KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"zoom head '{path}' does not say which blocks it reads; restore the file"
        ) from error
    return Rescoring(head.requires_grad_(False).to(device), layers, facts)
