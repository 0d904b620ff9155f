"""A model of images and words whose both towers go on learning, together or one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from perception_contrast.core.errors import ModelError, RecipeError
from perception_contrast.encoders.clip import ClipTower, load_clip
from perception_contrast.models.registry import IMAGE_TEXT_NAMES, model_spec
from perception_contrast.models.specs import ModelSpec, Triple
from perception_contrast.text.clip_text_encoder import text_preprocessing
from perception_contrast_training.networks.backbones import (
    Backbone,
    BackboneOutput,
    BackboneSettings,
    make_backbone,
)
from perception_contrast_training.networks.batch_norm import over_processes
from perception_contrast_training.networks.lora import LoraSettings, adapt, merged
from perception_contrast_training.networks.packed_attention import pack, unpack
from perception_contrast_training.networks.text import TextSettings

OF_NETWORKS = ("patch", "width", "depth", "heads", "layer_scale", "registers", "drop_path", "cifar_stem",
               "stride", "channels")  # fmt: skip
OF_WORDS = ("width", "depth", "heads", "context", "hidden")
IMAGES = "visual."  # what begins the names of the image tower in open_clip's networks


class TwoTowers(nn.Module):
    """Both towers with their projections, temperature and bias, as ``ClipTower`` serves them.

    spec: what the weights are of. size: side of the images in pixels. dim: of the shared space. patch:
    pixels. mean, std: of RGB in [0, 1]. locked_images, locked_words: towers that stay as they are.
    """

    is_vit = True  # sides are multiples of the patch

    def __init__(
        self, tower: ClipTower, spec: ModelSpec, size: int, *, locked_images: bool, locked_words: bool
    ) -> None:
        super().__init__()
        if locked_images and locked_words:
            raise RecipeError(
                "both towers are locked, so that nothing would learn; leave out backbone.frozen or "
                "options.text.frozen"
            )
        over_processes(tower.network)
        self.tower, self.spec, self.size = tower, spec, size
        self.dim, self.patch, self.space = tower.dim, tower.patch, tower.space
        self.mean: Triple = tower.mean
        self.std: Triple = tower.std
        self.locked_images, self.locked_words = locked_images, locked_words
        self._preprocessing = text_preprocessing(tower)
        for name, parameter in tower.network.named_parameters():
            parameter.requires_grad_(self._learns(name))

    @property
    def network(self) -> Any:
        """In open_clip's names."""
        return self.tower.network

    def _learns(self, name: str) -> bool:
        """Temperature and bias are the method's to learn."""
        if name in ("logit_scale", "logit_bias"):
            return False
        return not (self.locked_images if name.startswith(IMAGES) else self.locked_words)

    def forward(self, images: Tensor) -> BackboneOutput:
        """images (n, 3, h, w), normalised, to vectors of the shared space, not unit; no tokens are given."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.locked_images):
            vectors = self.tower.image_vectors(images)
        return BackboneOutput(vectors, vectors[:, None, :0])

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """What the text tower reads of strings, in the form that its model was trained with."""
        preprocessing = self._preprocessing
        return preprocessing.tokenize([preprocessing.canonical(text) for text in texts])

    def text(self, texts: Sequence[str] | Tensor) -> Tensor:
        """Strings, or what ``tokens`` made of them, to (n, dim), not unit."""
        ids = texts if isinstance(texts, Tensor) else self.tokens(texts)
        device = next(self.network.parameters()).device
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.locked_words):
            return self.tower.text_vectors(ids.to(device))

    def train(self, mode: bool = True) -> TwoTowers:
        super().train(mode)
        if self.locked_images:
            self.network.visual.eval()
        if self.locked_words:
            for name, child in self.network.named_children():
                if name != "visual":
                    child.eval()
        return self

    def depth_of(self, name: str) -> int:
        """Blocks of the tower that the parameter of this name is in; 0 where they are not counted."""
        network = self.network
        if f".{IMAGES}" not in f".{name}":
            text = getattr(network, "text", network)
            return len(getattr(getattr(text, "transformer", None), "resblocks", ()))
        trunk = getattr(network.visual, "trunk", None)
        if trunk is not None:
            return len(getattr(trunk, "blocks", ()))
        return len(network.visual.transformer.resblocks)

    def adapt(self, settings: LoraSettings) -> None:
        """Puts LoRA into the towers that are not locked; all else stays. Raises RecipeError."""
        unpack(self.network)
        locked = r"visual\..*" if self.locked_images else r"(?!visual\.).*" if self.locked_words else ""
        adapt(self.network, settings, without=locked)
        added = [name for name, _ in self.network.named_parameters() if ".lora_" in name]
        for what, is_locked, key in (
            ("images", self.locked_images, "backbone.frozen"),
            ("words", self.locked_words, "options.text.frozen"),
        ):
            if not is_locked and not any(n.startswith(IMAGES) == (what == "images") for n in added):
                raise RecipeError(
                    f"LoRA finds no layer {', '.join(settings.modules)} in the tower of {what} of "
                    f"'{self.spec.name}'; name some of its layers in lora.modules, or leave it: {key}: true"
                )

    def served(self, scale: Tensor, bias: Tensor | None) -> Any:
        """A copy of the network with additions worked in. scale: logarithm; bias: both as learned."""
        network: Any = merged(self.network)
        pack(network)
        with torch.no_grad():
            network.logit_scale.copy_(scale.reshape(network.logit_scale.shape))
            if bias is not None:
                network.logit_bias.copy_(bias.reshape(network.logit_bias.shape))
        return network


Network = Backbone | TwoTowers


def make_network(
    settings: BackboneSettings, text: TextSettings | None = None, *, lit: bool = False
) -> Network:
    """A backbone, or both towers of a model where ``text`` says that the words are its own.

    lit: the image tower is locked. Raises ModelError for weights, RecipeError for what does not go together.
    """
    if text is not None and text.tower == "own":
        return _two_towers(settings, text, lit)
    if text is not None and text.frozen:
        raise RecipeError("options.text.frozen is for words that are there already: options.text.tower: own")
    spec = _known(settings.name)
    if spec is not None and not spec.spatial and spec.family != "lit":
        raise RecipeError(
            f"'{spec.name}' is a model of images and words: "
            + ("set options.text.tower: own, for its own words go with it" if text is not None else
               "methods clip, siglip and lit go on from it; choose a model of images alone for this one")
        )  # fmt: skip
    return make_backbone(settings)


def _known(name: str) -> ModelSpec | None:
    try:
        return model_spec(name)
    except ModelError:  # an architecture of timm, or a mistake that make_backbone tells
        return None


def _two_towers(settings: BackboneSettings, text: TextSettings, lit: bool) -> TwoTowers:
    spec = _known(settings.name)
    if spec is None or not spec.knows_words or spec.family == "lit":
        raise RecipeError(
            f"'{settings.name}' has no words of its own; as backbone.name choose one of "
            f"{IMAGE_TEXT_NAMES}, or the folder of such a pair; or set "
            "options.text.tower: transformer, which learns from scratch, or minilm"
        )
    if spec.companion:
        raise RecipeError(
            f"'{spec.name}' stands on weights of {spec.companion} and is served, not trained; "
            "as backbone.name choose a model whose both towers are its own, such as tipsv2-b14"
        )
    changed = [f"backbone.{k}" for k in OF_NETWORKS if getattr(settings, k) != getattr(BackboneSettings, k)]
    changed += [f"options.text.{k}" for k in OF_WORDS if getattr(text, k) != getattr(TextSettings, k)]
    if changed:
        raise RecipeError(f"'{spec.name}' is built as it is; leave out {', '.join(changed)}")
    size = settings.size or spec.size
    if size % spec.patch:
        near = max(spec.patch, round(size / spec.patch) * spec.patch)
        raise RecipeError(
            f"backbone.size {size} does not fall into patches of {spec.patch} pixels; use {near}"
        )
    random = not (settings.pretrained or settings.weights)
    weights = Path(settings.weights) if settings.weights else None
    tower = load_clip(spec, weights=weights, random_init=random)
    towers = TwoTowers(tower, spec, size, locked_images=settings.frozen or lit, locked_words=text.frozen)
    if settings.checkpointing or text.checkpointing:
        _recompute(towers.network)
    return towers


def _recompute(network: Any) -> None:
    """Blocks of both towers are computed again in the backward pass."""
    network.set_grad_checkpointing(True)
    trunk = getattr(network.visual, "trunk", None)
    blocks = network.visual.transformer.resblocks if trunk is None else getattr(trunk, "blocks", ())
    for block in blocks:
        block.recomputed = True
