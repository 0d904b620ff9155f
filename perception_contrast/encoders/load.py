"""The models that a pipeline works with, loaded by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..cache import cache_dir
from ..errors import ModelError
from ..language.clip_text import ClipTextTower
from ..language.text_cache import CachedTextTower
from ..language.text_tower import TextTower, load_minilm
from .clip import ClipTower, load_clip
from .dinov2 import DinoOutput, DinoTower, load_dino
from .lit import HouseholdLit, load_household_lit
from .registry import MODELS, Triple, model_spec
from .weights import Progress

LIT_TOWER = "dinov2-s14"


class LanguageModel(Protocol):
    """Pictures and phrases to unit vectors of one space.

    layers: blocks of the spatial tower that ``see`` can be given, empty where it has a tower of its own.
    """

    model: str
    space: str
    dim: int
    patch: int
    mean: Triple
    std: Triple
    layers: tuple[int, ...]

    @property
    def text(self) -> TextTower: ...

    def see(self, images: Tensor, output: DinoOutput | None = None) -> tuple[Tensor, Tensor]:
        """images (B, 3, H, W), normalised, to grid (B, h, w, dim) and picture (B, dim), unit vectors."""
        ...


class ClipLanguage:
    """A CLIP or SigLIP as a language model."""

    layers: tuple[int, ...] = ()

    def __init__(self, tower: ClipTower, text: TextTower) -> None:
        self.tower, self.text = tower, text
        self.model, self.space, self.dim, self.patch = tower.model, tower.space, tower.dim, tower.patch
        self.mean: Triple = tower.mean
        self.std: Triple = tower.std

    def see(self, images: Tensor, output: DinoOutput | None = None) -> tuple[Tensor, Tensor]:
        """Unit vectors: grid (B, h, w, dim) and picture (B, dim)."""
        seen = self.tower(images)
        return seen.dense, seen.image


@dataclass(frozen=True)
class Encoders:
    """spatial: dense features of the picture alone. language: features comparable with words, or None.

    shared: ``language.see`` takes what the spatial tower gives for the same images with
    ``language.layers``, so one forward pass serves both. device: where all of it is.
    """

    spatial: DinoTower | ClipTower
    language: LanguageModel | None
    device: str
    shared: bool = False


def load_encoders(
    model: str,
    language_model: str,
    *,
    device: str = "cpu",
    offline: bool = False,
    progress: Progress | None = None,
) -> Encoders:
    """model: any dinov2-*, clip-*, siglip*. language_model: household-lit, clip-*, siglip* or none.

    device: "cpu", "cuda", "cuda:1", or "auto" for a GPU if there is one. Raises ModelError, SpaceError.
    """
    device = _device(device)
    language = language_model.strip() or "none"
    _require_language(language)
    if model_spec(model).family == "lit":
        raise ModelError(f"'{model}' is a language model; name {LIT_TOWER} as model and it as language_model")
    spatial = _spatial(model, language, device, offline, progress)
    if language == "none":
        return Encoders(spatial, None, device)
    if language == "household-lit":
        lit = _household_lit(spatial, device, offline, progress)
        return Encoders(spatial, lit, device, shared=lit.tower is spatial)
    clip = (
        spatial
        if isinstance(spatial, ClipTower) and language == model
        else load_clip(language, device=device, offline=offline, progress=progress)
    )
    return Encoders(spatial, ClipLanguage(clip, _cached(ClipTextTower(clip))), device)


def _spatial(
    model: str, language: str, device: str, offline: bool, progress: Progress | None
) -> DinoTower | ClipTower:
    if model_spec(model).family != "dinov2":
        return load_clip(model, device=device, offline=offline, progress=progress)
    # The head was fitted to the weights whose sha256 is fixed, so a tower that serves both has those.
    pinned = model == LIT_TOWER and language == "household-lit"
    return load_dino(model, device=device, offline=offline, pinned=pinned, progress=progress)


def _household_lit(
    spatial: DinoTower | ClipTower, device: str, offline: bool, progress: Progress | None
) -> HouseholdLit:
    if isinstance(spatial, DinoTower) and spatial.model == LIT_TOWER:
        tower = spatial
    else:
        tower = load_dino(LIT_TOWER, device=device, offline=offline, pinned=True, progress=progress)
    sentences = load_minilm(device=device, offline=offline, progress=progress)
    return load_household_lit(tower, _cached(sentences), device=device)


def _cached(tower: TextTower) -> CachedTextTower:
    return CachedTextTower(tower, cache_dir() / "text")


def _require_language(name: str) -> None:
    if name != "none" and model_spec(name).family == "dinov2":
        able = ", ".join(n for n, spec in MODELS.items() if spec.family != "dinov2")
        raise ModelError(f"'{name}' knows no words; as language_model choose one of {able}, or none")


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f"device '{name}' was asked for, but torch sees no GPU; use cpu or auto")
    try:
        torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"unknown device '{name}'; use cpu, cuda, cuda:N or auto") from error
    return name
