"""Backbones that are trained: timm's ViTs and convolutional networks, from scratch or from weights."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from perception_contrast.core.errors import ModelError, RecipeError
from perception_contrast.encoders.conv_pyramid import ConvPyramid
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.encoders.timm_backbones import finished, is_vit
from perception_contrast.models.registry import MODELS, model_spec
from perception_contrast.models.specs import IMAGENET_MEAN, IMAGENET_STD, ModelSpec, Triple
from perception_contrast.models.timm_models import TIMM
from perception_contrast_training.networks.batch_norm import over_processes
from perception_contrast_training.networks.vit import vit_pooled, vit_sequence

TOKENS = re.compile(
    r"(cls_token|reg_token|mask_token|dist_token|pos_embed|positional_embedding|class_embedding|query_token)$"
)
"""Names of parameters that are tokens or positions, in timm and open_clip."""


@dataclass(frozen=True)
class BackboneSettings:
    """name: a model of images alone ("dinov2-s14"), or an architecture of timm ("resnet18"). pretrained:
    from its weights, else from scratch. weights: a local file in place of those that the name has.

    size: side of the images in pixels, 0 for the model's own. patch, width, depth, heads, layer_scale,
    registers: of a ViT from scratch, 0 for the architecture's own. drop_path: of the last block; stochastic
    depth rises to it. checkpointing: blocks are computed again in the backward pass, which halves the
    memory and costs a third more time. cifar_stem: a ResNet for images of 32 pixels (first convolution
    3x3 without stride, no pooling). stride: pixels of a cell of a convolutional network, where that shall be
    finer than its last map's: maps of earlier stages are merged into that (``ConvPyramid``); channels: of the
    merged map, 0 for 384. frozen: nothing of it learns.
    """

    name: str = "vit_small_patch16_224"
    pretrained: bool = False
    weights: str = ""
    size: int = 0
    patch: int = 0
    width: int = 0
    depth: int = 0
    heads: int = 0
    layer_scale: float = 0.0
    registers: int = 0
    drop_path: float = 0.0
    checkpointing: bool = False
    cifar_stem: bool = False
    stride: int = 0
    channels: int = 0
    frozen: bool = False


@dataclass(frozen=True)
class Architecture:
    """What it takes to build the network again: ``timm.create_model(name, num_classes=0, **options)``."""

    name: str
    options: dict[str, Any]
    cifar_stem: bool = False
    pyramid_stride: int = 0
    pyramid_channels: int = 0

    @property
    def served(self) -> dict[str, Any]:
        """What a card says of it beside its name; sizes follow the image."""
        options = {k: v for k, v in self.options.items() if k not in ("img_size", "dynamic_img_size")}
        ours = ("cifar_stem", "pyramid_stride", "pyramid_channels")
        return options | {key: getattr(self, key) for key in ours if getattr(self, key)}

    def build(self) -> nn.Module:
        import timm

        network: Any = timm.create_model(self.name, pretrained=False, num_classes=0, **self.options)
        if self.cifar_stem:
            width = network.conv1.out_channels
            network.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
            nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
            network.maxpool = nn.Identity()
        return finished(network, self.pyramid_stride, self.pyramid_channels)


@dataclass(frozen=True)
class BackboneOutput:
    """pooled: (n, c) of the image. tokens: (n, p, c) of its patches, row by row."""

    pooled: Tensor
    tokens: Tensor


class Backbone(nn.Module):
    """A network of timm with what training needs of it.

    network: in timm's names, what is exported. mask_token: (c,) stands for a patch that is not shown.
    dim: channels. patch: pixels of a cell's side. size: side of the images. mean, std: of RGB in [0, 1].
    """

    def __init__(
        self,
        network: nn.Module,
        architecture: Architecture,
        *,
        size: int,
        mean: Triple = IMAGENET_MEAN,
        std: Triple = IMAGENET_STD,
        antialias: bool = True,
        checkpointing: bool = False,
        space: str = "",
    ) -> None:
        super().__init__()
        self.network = cast(Any, over_processes(network))  # timm declares no types for its parts
        self.architecture, self.size, self.space = architecture, size, space
        self.mean, self.std = mean, std
        self.dim = int(self.network.num_features)
        self.is_vit = is_vit(network)
        self.patch: int = self.network.patch_embed.patch_size[0] if self.is_vit else self._reduction()
        self.antialias, self._checkpointing = antialias, checkpointing
        self.mask_token = nn.Parameter(torch.zeros(self.dim)) if self.is_vit else None
        if checkpointing and not self.is_vit:
            self.network.set_grad_checkpointing(True)

    def _reduction(self) -> int:
        reduction = int(self.network.feature_info[-1]["reduction"])
        return reduction // 4 if self.architecture.cifar_stem else reduction

    @property
    def depth(self) -> int:
        """Blocks of a ViT, 0 of other networks."""
        return len(self.network.blocks) if self.is_vit else 0

    def forward(
        self, images: Tensor, masked: Tensor | None = None, kept: Tensor | None = None
    ) -> BackboneOutput:
        """images: (n, 3, h, w), normalised, sides multiples of the patch. masked, kept: as of
        ``vit_sequence``, of a ViT."""
        if not self.is_vit:
            features = self.network.forward_features(images)
            pooled = self.network.forward_head(features, pre_logits=True)
            return BackboneOutput(pooled, features.flatten(2).transpose(1, 2))
        sequence = vit_sequence(
            self.network,
            images,
            antialias=self.antialias,
            checkpointing=self._checkpointing,
            mask_token=self.mask_token,
            masked=masked,
            kept=kept,
        )
        return BackboneOutput(
            vit_pooled(self.network, sequence), sequence[:, self.network.num_prefix_tokens :]
        )

    def require_vit(self, method: str, *, size: bool = True) -> None:
        """Raises RecipeError unless this is a ViT into whose patches the images fall."""
        if not self.is_vit:
            raise RecipeError(
                f"{method} hides patches, which '{self.architecture.name}' does not have; choose a ViT, "
                "or simclr, byol or dino for this network"
            )
        if size and self.size % self.patch:
            raise RecipeError(f"size {self.size} does not fall into patches of {self.patch} pixels")


def make_backbone(settings: BackboneSettings) -> Backbone:
    """Raises ModelError for a name that there is not, RecipeError for options that do not fit it."""
    tagged = settings.name
    if tagged not in MODELS and not tagged.startswith(TIMM) and _is_timm(tagged):
        tagged = TIMM + tagged
    if settings.pretrained or settings.weights:
        backbone = _from_weights(tagged, settings)
    else:
        backbone = _from_scratch(tagged, settings)
    return backbone.requires_grad_(False) if settings.frozen else backbone


def learns_tokens(network: nn.Module) -> bool:
    """Whether tokens or positions are among what a network learns, as in a ViT."""
    return any(p.requires_grad and TOKENS.search(name) for name, p in network.named_parameters())


def has_tokens(settings: BackboneSettings) -> bool:
    """Whether the backbone will be a ViT, judged by its architecture without reading weights.

    Args:
        settings: ``backbone`` of a recipe.

    Returns:
        False also for a name that is unknown, which ``make_backbone`` refuses.
    """
    arch = settings.name.removeprefix(TIMM).split(".")[0]
    try:
        return _architecture_has_tokens(arch if _is_timm(arch) else model_spec(settings.name).arch)
    except ModelError:
        return False


@lru_cache
def _architecture_has_tokens(arch: str) -> bool:
    import timm

    if not timm.is_model(arch):
        return False
    with torch.device("meta"):
        return learns_tokens(timm.create_model(arch, pretrained=False, num_classes=0))


def _is_timm(name: str) -> bool:
    import timm

    return bool(timm.is_model(name.split(".")[0]))


def _from_weights(name: str, settings: BackboneSettings) -> Backbone:
    changed = [
        key
        for key in ("patch", "width", "depth", "heads", "layer_scale", "registers", "cifar_stem")
        if getattr(settings, key) != getattr(BackboneSettings, key)
    ]
    if changed:
        raise RecipeError(
            f"'{settings.name}' has weights for its own {', '.join(changed)}; leave that out, choose a model "
            "that has it so, or set pretrained: false"
        )
    spec = model_spec(name)
    _require_plain_positions(spec)
    tower = load_dino(spec, weights=Path(settings.weights) if settings.weights else None)
    own = dict(spec.options)
    stem = bool(own.pop("cifar_stem", False))
    own.pop("antialias", None)  # of a student, which says it by ``spec.antialias``
    stride, channels = int(own.pop("pyramid_stride", 0)), int(own.pop("pyramid_channels", 0))
    if stride and settings.stride not in (0, stride):
        raise RecipeError(f"'{settings.name}' has cells of {stride} pixels; leave out backbone.stride")
    options = {**_options(spec.arch, spec.size, settings), **own}
    architecture = Architecture(
        spec.arch, options, stem, settings.stride or stride, settings.channels or channels
    )
    network = _built(architecture)
    # A pyramid that the weights do not have begins at random on top of them.
    below = network.network if isinstance(network, ConvPyramid) and not stride else network
    below.load_state_dict({n: v for n, v in tower.vit.state_dict().items() if n in below.state_dict()})
    return Backbone(
        network,
        replace(architecture, options=_served(architecture.options)),
        size=settings.size or spec.size,
        mean=spec.mean,
        std=spec.std,
        antialias=spec.antialias,
        checkpointing=settings.checkpointing,
        space=tower.space,
    )


def _from_scratch(name: str, settings: BackboneSettings) -> Backbone:
    arch = name.removeprefix(TIMM).split(".")[0]
    size, mean, std, antialias = settings.size, IMAGENET_MEAN, IMAGENET_STD, True
    if not _is_timm(arch):
        spec = model_spec(name)
        _require_plain_positions(spec)
        arch, mean, std = spec.arch, spec.mean, spec.std
        antialias = spec.antialias
    size = size or _own_size(arch)
    architecture = Architecture(
        arch, _options(arch, size, settings), settings.cifar_stem, settings.stride, settings.channels
    )
    network = _built(architecture)
    return Backbone(
        network,
        replace(architecture, options=_served(architecture.options)),
        size=size,
        mean=mean,
        std=std,
        antialias=antialias,
        checkpointing=settings.checkpointing,
    )


def _built(architecture: Architecture) -> nn.Module:
    """Raises RecipeError for options that do not fit the network."""
    try:
        return architecture.build()
    except (TypeError, AssertionError, AttributeError) as error:
        raise RecipeError(
            f"'{architecture.name}' cannot be made with {architecture.options}: {error}"
        ) from error
    except ModelError as error:  # of the pyramid, which says what strides there are
        raise RecipeError(f"backbone.stride of '{architecture.name}': {error}") from error


def _require_plain_positions(spec: ModelSpec) -> None:
    """Raises RecipeError for a model whose positions are cropped from a larger square."""
    if spec.resampling.square:
        raise RecipeError(
            f"'{spec.name}' crops its positions in its own way, which training does not do; choose another "
            "model of images, as dinov2-b14-reg"
        )


def _own_size(arch: str) -> int:
    import timm

    config = timm.get_pretrained_cfg(arch)
    return int(config.input_size[1]) if config is not None else 224


def _options(arch: str, size: int, settings: BackboneSettings) -> dict[str, Any]:
    """timm's keyword arguments."""
    from timm.models import is_model_in_modules

    vit, eva = is_model_in_modules(arch, ["vision_transformer"]), is_model_in_modules(arch, ["eva"])
    wanted: dict[str, Any] = {
        "patch_size": settings.patch,
        "embed_dim": settings.width,
        "depth": settings.depth,
        "num_heads": settings.heads,
        "init_values": settings.layer_scale,
        "reg_tokens" if vit else "num_reg_tokens": settings.registers,
    }
    options = {key: value for key, value in wanted.items() if value}
    if options and not (vit or eva):
        raise RecipeError(
            f"'{arch}' is no vision transformer; patch, width, depth, heads, layer_scale and registers "
            "are for those"
        )
    if settings.cifar_stem and not is_model_in_modules(arch, ["resnet"]):
        raise RecipeError(f"cifar_stem is for a ResNet; '{arch}' is none")
    if vit or eva:
        # A register has no place, and with it neither has the class token.
        options |= {"img_size": size} | ({"no_embed_class": True} if settings.registers else {})
    if eva:
        options["dynamic_img_size"] = True
    if settings.stride and (vit or eva):
        raise RecipeError(
            f"'{arch}' is a vision transformer, whose cells are its patches; leave out backbone.stride"
        )
    if settings.channels and not settings.stride:
        raise RecipeError("backbone.channels is of merged maps; say how fine they are with backbone.stride")
    if settings.drop_path:
        options["drop_path_rate"] = settings.drop_path
    return options


def _served(options: dict[str, Any]) -> dict[str, Any]:
    """Without what only training has."""
    return {key: value for key, value in options.items() if key != "drop_path_rate"}
