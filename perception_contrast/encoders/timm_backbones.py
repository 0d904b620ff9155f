"""timm's networks at any grid: tokens, a vector of the whole image, and raw outputs of blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from perception_contrast.encoders.conv_pyramid import ConvPyramid
from perception_contrast.encoders.position_embedding import KEPT_GRIDS, Positions
from perception_contrast.models.model_libraries import import_timm
from perception_contrast.models.specs import Resampling

RADIO, RADIO_SIDE = "_radio_v", 2048  # C-RADIO's positions are learned for images of this side
CONVOLUTIONAL = ("resnet", "convnext", "mobilenetv3", "efficientnet")  # modules of timm


class Trunk(Protocol):
    """A network of timm. Holds no parameters of its own."""

    def run(
        self, images: Tensor, rows: int, columns: int, layers: Sequence[int]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Runs the network.

        Args:
            images: (B, 3, H, W), normalised.
            rows: rows of patches.
            columns: columns of patches.
            layers: 0-based blocks or stages whose raw outputs are wanted.

        Returns:
            Tokens (B, h, w, c), a vector of each image (B, c), and the layers, (B, h, w, c) each.
        """
        ...


def trunk_of(network: nn.Module, rule: Resampling | None = None) -> Trunk:
    """rule: how positions are resampled; None for timm's way."""
    if is_vit(network):
        return VitTrunk(network, rule)
    if isinstance(network, ConvPyramid) or (not hasattr(network, "layer4") and not hasattr(network, "stem")):
        return MapTrunk(network)
    return ConvNextTrunk(network) if hasattr(network, "stages") else ConvTrunk(network)


def is_vit(network: nn.Module) -> bool:
    """Whether it is a vision transformer; MobileNet has blocks too."""
    return hasattr(network, "blocks") and hasattr(network, "patch_embed")


class VitTrunk:
    """timm's VisionTransformer or Eva (rotary positions). Holds no parameters of its own."""

    def __init__(self, vit: Any, rule: Resampling | None = None) -> None:
        self.vit = vit
        self._positions = Positions(rule)
        self._rotations = _Rotations()

    def run(
        self, images: Tensor, rows: int, columns: int, layers: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """layers: 0-based blocks, given raw; the tokens are after the final norm."""
        x, kept = self.sequence(images, rows, columns, layers)

        def spatial(tokens: Tensor) -> Tensor:
            patches = tokens[:, self.vit.num_prefix_tokens :]
            return patches.reshape(tokens.shape[0], rows, columns, -1)

        return spatial(x), self.image(x), tuple(spatial(kept[index]) for index in layers)

    def sequence(
        self, images: Tensor, rows: int, columns: int, layers: Sequence[int] = ()
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """Prefix tokens and patches (B, n, c) after the final norm; block number to its raw (B, n, c)."""
        x, rope = self._start(images, rows, columns)
        kept: dict[int, Tensor] = {}
        for index, block in enumerate(self.vit.blocks):
            x = through(block, x, rope[index])
            if index in layers:
                kept[index] = x
        return self.vit.norm(x), kept

    def until_last(self, images: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor | None]:
        """Raw prefix tokens and patches (B, n, c) that enter the last block, and the rotation it uses."""
        x, rope = self._start(images, rows, columns)
        for block, turn in zip(self.vit.blocks[:-1], rope, strict=False):
            x = through(block, x, turn)
        return x, rope[-1]

    def _start(self, images: Tensor, rows: int, columns: int) -> tuple[Tensor, Sequence[Tensor | None]]:
        """What enters the first block, and each block's rotation, None without."""
        x = self._embed(images, rows, columns)
        rope = self._rotations.at(self.vit, rows, columns, x)
        blocks = len(self.vit.blocks)
        if rope is None or not self.vit.rope_mixed:
            return x, [rope] * blocks
        return x, [rope[index] for index in range(blocks)]

    def image(self, x: Tensor) -> Tensor:
        """The class token; the pooling head's output where there is one; else the mean of the patches."""
        vit = self.vit
        if vit.attn_pool is not None:
            pooled: Tensor = vit.attn_pool(x)
            return pooled
        if vit.cls_token is not None:
            return x[:, 0]
        return x[:, vit.num_prefix_tokens :].mean(1)

    def _embed(self, images: Tensor, rows: int, columns: int) -> Tensor:
        """Patch embedding plus position embedding, after the prefix tokens (class, registers)."""
        vit = self.vit
        x = vit.patch_embed.norm(vit.patch_embed.proj(images).flatten(2).transpose(1, 2))
        prefix = [
            token.expand(x.shape[0], -1, -1) for token in (vit.cls_token, vit.reg_token) if token is not None
        ]
        position = vit.pos_embed
        if position is not None:
            # Where prefix tokens have positions too, theirs come first and belong to no place.
            first = 0 if vit.no_embed_class else vit.num_prefix_tokens
            learns = bool(position.requires_grad)
            x = x + self._positions.at(position[:, first:], rows, columns, learns=learns)
            if first:
                prefix = [torch.cat(prefix, dim=1) + position[:, :first]]
        embedded: Tensor = vit.norm_pre(torch.cat([*prefix, x], dim=1))
        return embedded


def through(block: Any, x: Tensor, rope: Tensor | None = None) -> Tensor:
    """x through a block; in training one that is marked ``recomputed`` is computed again on the way back."""
    step: Callable[[Tensor], Tensor] = block if rope is None else partial(block, rope=rope)
    if torch.is_grad_enabled() and getattr(block, "recomputed", False):
        return checkpoint(step, x, use_reentrant=False)
    return step(x)


class _Rotations:
    """Eva's rotary embedding, made once for each grid: timm makes it on the CPU each time."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int, str], Tensor] = {}

    def at(self, vit: Any, rows: int, columns: int, x: Tensor) -> Tensor | None:
        rope = getattr(vit, "rope", None)
        if rope is None:
            return None
        if vit.rope_mixed or torch.is_grad_enabled():
            embedded: Tensor = rope.get_embed(shape=[rows, columns])
            return embedded
        key = (rows, columns, str(x.device))
        if key not in self._made:
            if len(self._made) >= KEPT_GRIDS:
                self._made.clear()
            self._made[key] = rope.get_embed(shape=[rows, columns])
        return self._made[key]

    def __deepcopy__(self, memo: object) -> _Rotations:
        return _Rotations()


class ConvTrunk:
    """timm's ResNet: the last stage is the grid, its mean the image. Layers are stages 0 to 3."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def run(
        self, images: Tensor, rows: int, columns: int, layers: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """A layer has the grid of its own stage, finer than the last one's."""
        network = self.network
        x = network.maxpool(network.act1(network.bn1(network.conv1(images))))
        kept: dict[int, Tensor] = {}
        for index in range(4):
            x = getattr(network, f"layer{index + 1}")(x)
            if index in layers:
                kept[index] = x.permute(0, 2, 3, 1)
        return x.permute(0, 2, 3, 1), x.mean((2, 3)), tuple(kept[index] for index in layers)


class ConvNextTrunk:
    """timm's ConvNeXt: the last stage is the grid; the image is its mean after the head's norm."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def run(
        self, images: Tensor, rows: int, columns: int, layers: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """A layer has the grid of its own stage, finer than the last one's."""
        x = self.network.stem(images)
        kept: dict[int, Tensor] = {}
        for index, stage in enumerate(self.network.stages):
            x = stage(x)
            if index in layers:
                kept[index] = x.permute(0, 2, 3, 1)
        x = self.network.norm_pre(x)
        image: Tensor = self.network.forward_head(x, pre_logits=True)
        return x.permute(0, 2, 3, 1), image, tuple(kept[index] for index in layers)


class MapTrunk:
    """A network whose ``forward_features`` gives its grid: timm's MobileNet and EfficientNet, a pyramid."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def run(
        self, images: Tensor, rows: int, columns: int, layers: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """The image is the mean of its grid. ``layers`` are none: ``DinoTower.depth`` is 0."""
        x = self.network.forward_features(images)
        return x.permute(0, 2, 3, 1), x.mean((2, 3)), ()


def create_network(arch: str, size: int, more: Mapping[str, int | float | bool] | None = None) -> nn.Module:
    """timm's network without a classifier at random initialisation; of Eva, one that takes any grid.

    more: of ``timm.create_model``; ``cifar_stem``, a ResNet for images of 32 pixels (first
    convolution 3x3 without stride, no pooling); and those of ``finished``.
    """
    timm = import_timm()
    from timm.models import is_model_in_modules

    options: dict[str, Any] = {}
    if not is_model_in_modules(arch, list(CONVOLUTIONAL)):
        options["img_size"] = RADIO_SIDE if RADIO in arch else size
    if is_model_in_modules(arch, ["eva"]):
        options["dynamic_img_size"] = True
    options |= more or {}
    cifar_stem = options.pop("cifar_stem", False)
    stride, channels = int(options.pop("pyramid_stride", 0)), int(options.pop("pyramid_channels", 0))
    network: Any = timm.create_model(arch, pretrained=False, num_classes=0, **options)
    if cifar_stem:
        network.conv1 = nn.Conv2d(3, network.conv1.out_channels, 3, 1, 1, bias=False)
        network.maxpool = nn.Identity()
    return finished(network, stride, channels)


def finished(network: Any, pyramid_stride: int = 0, pyramid_channels: int = 0) -> nn.Module:
    """A network of timm without a classifier as it is used here.

    Args:
        network: Of ``timm.create_model(..., num_classes=0)``.
        pyramid_stride: Pixels of a cell, where maps of earlier stages are merged into the last one; 0
            leaves the last map as it is.
        pyramid_channels: Of the merged map.

    Raises:
        ModelError: As ``ConvPyramid``.
    """
    # What MobileNet has between the mean and a classifier belongs to the classifier; EfficientNet's
    # comes before the mean, and no pyramid reads it.
    unused = hasattr(network, "conv_head") and (hasattr(network, "norm_head") or pyramid_stride > 0)
    for name in ("conv_head", "norm_head", "bn2", "act2") if unused else ():
        if hasattr(network, name):
            setattr(network, name, nn.Identity())
    module: nn.Module = ConvPyramid(network, pyramid_stride, pyramid_channels) if pyramid_stride else network
    return module
