"""The models that a pipeline works with, loaded by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from perception_contrast.core.cache import cache_dir
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.clip import ClipTower, load_clip
from perception_contrast.encoders.dense.method_names import AUTO, dense_method
from perception_contrast.encoders.dinov2 import DinoTower, load_dino
from perception_contrast.encoders.household_lit import HEAD_FILE, HouseholdLit, load_household_lit
from perception_contrast.models.download import Progress
from perception_contrast.models.logit_scale import LogitScale
from perception_contrast.models.registry import model_spec
from perception_contrast.models.specs import Triple
from perception_contrast.text.clip_text import ClipTextTower
from perception_contrast.text.text_cache import CachedTextTower
from perception_contrast.text.text_tower import TextTower, load_minilm

LIT_TOWER = "dinov2-s14"


class LanguageModel(Protocol):
    """Images and phrases to unit vectors of one space.

    tower: what sees the images. layers: blocks of it that are read, empty where its end alone is.
    matching: of whole images with texts.
    """

    model: str
    space: str
    dim: int
    patch: int
    mean: Triple
    std: Triple
    layers: tuple[int, ...]

    @property
    def tower(self) -> Any: ...

    @property
    def text(self) -> TextTower: ...

    @property
    def logit_scale(self) -> LogitScale: ...


class ClipLanguage:
    """A CLIP or SigLIP as a language model."""

    layers: tuple[int, ...] = ()

    def __init__(self, tower: ClipTower, text: TextTower) -> None:
        self.tower, self.text, self.logit_scale = tower, text, tower.logit_scale
        self.model, self.space, self.dim, self.patch = tower.model, tower.space, tower.dim, tower.patch
        self.mean: Triple = tower.mean
        self.std: Triple = tower.std


@dataclass(frozen=True)
class Encoders:
    """spatial: dense features of the image alone. language: features comparable with words, or None.

    shared: the language model stands on the spatial tower, so one forward pass serves both. device:
    where all of it is.
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
    weights: Path | None = None,
    language_weights: Path | None = None,
    dense: str = AUTO,
    progress: Progress | None = None,
) -> Encoders:
    """model: any but household-lit. language_model: household-lit, one that knows words, or none.

    weights, language_weights: local files in place of those that a hub or a package would give.
    device: "cpu", "cuda", "cuda:1", or "auto" for a GPU if there is one. dense: the way to features that
    are comparable with words, as ``dense_method``. Raises ModelError, SpaceError.
    """
    device = _device(device)
    language = language_model.strip() or "none"
    _require_language(language)
    if model_spec(model).family == "lit":
        raise ModelError(f"'{model}' is a language model; name {LIT_TOWER} as model and it as language_model")
    method = dense_method(dense, model, language)
    source = _Source(device, offline, progress)
    # The head was fitted to the weights whose sha256 is fixed, so a tower that serves both has those.
    shared = model == LIT_TOWER and language == "household-lit" and weights is None
    same = language == model and language_weights in (None, weights)
    spatial = source.tower(model, weights, pinned=shared, method=method if same else AUTO)
    if language == "none":
        return Encoders(spatial, None, device)
    if language == "household-lit":
        return Encoders(spatial, source.lit(spatial if shared else None, language_weights), device, shared)
    clip = spatial if same else None
    if not isinstance(clip, ClipTower):
        clip = source.words(language, language_weights, method=method)
    return Encoders(spatial, ClipLanguage(clip, _cached(ClipTextTower(clip))), device)


@dataclass(frozen=True)
class _Source:
    device: str
    offline: bool
    progress: Progress | None

    def tower(
        self, name: str, weights: Path | None, *, pinned: bool = False, method: str = AUTO
    ) -> DinoTower | ClipTower:
        if model_spec(name).spatial:
            return load_dino(
                name,
                device=self.device,
                offline=self.offline,
                weights=weights,
                pinned=pinned,
                progress=self.progress,
            )
        return self.words(name, weights, method=method)

    def words(self, name: str, weights: Path | None, *, method: str) -> ClipTower:
        return load_clip(
            name,
            device=self.device,
            offline=self.offline,
            weights=weights,
            method=method,
            progress=self.progress,
        )

    def lit(self, spatial: DinoTower | ClipTower | None, head: Path | None) -> HouseholdLit:
        tower = spatial or self.tower(LIT_TOWER, None, pinned=True)
        assert isinstance(tower, DinoTower)
        sentences = load_minilm(device=self.device, offline=self.offline, progress=self.progress)
        return load_household_lit(tower, _cached(sentences), device=self.device, path=head or HEAD_FILE)


def _cached(tower: TextTower) -> CachedTextTower:
    return CachedTextTower(tower, cache_dir() / "text")


def _require_language(name: str) -> None:
    if name != "none" and not model_spec(name).knows_words:
        raise ModelError(
            f"'{name}' knows no words; as language_model choose household-lit, one of clip-*, metaclip-*, "
            "dfn-*, siglip*, mobileclip2-* and pe-core-*, the folder of a pair that was trained, or none"
        )


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
