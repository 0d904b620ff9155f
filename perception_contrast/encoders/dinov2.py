"""Encoders of images alone: DINOv2 (Oquab et al., 2023) and timm's other ViTs and convolutional networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from perception_contrast.core.cache import sha256_of
from perception_contrast.core.embedding_spaces import space_name
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.base import EncoderOutput, ImageEncoder, Role
from perception_contrast.encoders.position_embedding import grid_of
from perception_contrast.encoders.timm_backbones import create_network, is_vit, trunk_of
from perception_contrast.models.download import Progress
from perception_contrast.models.registry import model_spec
from perception_contrast.models.specs import PLUGIN, ModelSpec, Triple
from perception_contrast.models.weight_conversion import radio_names
from perception_contrast.models.weight_loading import load_strictly, load_tensors, uninitialised
from perception_contrast.models.weights import weights_file

CLASSIFIERS = ("head.", "fc.", "classifier.")
BEFORE_CLASSIFIERS = ("conv_head.", "norm_head.")  # of MobileNet, where the network here has none
KEPT = ("head.norm.",)  # of ConvNeXt, before its classifier
UNUSED = ("mask_token", "head_dist.")


@dataclass(frozen=True)
class DinoOutput:
    """tokens (B, h, w, c) and cls (B, c) after the final norm; layers: (B, h, w, c) raw block outputs.

    cls: the class token, the first one where there are several; of a network without one, its own pooling.
    """

    tokens: Tensor
    cls: Tensor
    layers: tuple[Tensor, ...] = ()


class DinoTower(nn.Module, ImageEncoder):
    """A vision transformer or convolutional network of timm, at any size that is a multiple of its patch.

    Args:
        vit: timm's network without a classifier.
        spec: patch, channels, normalisation.
        space: identity of its vectors' space.
    """

    def __init__(self, vit: nn.Module, spec: ModelSpec, space: str) -> None:
        super().__init__()
        self.vit: Any = vit  # timm declares no types for its parts
        self.model, self.space, self.family = spec.name, space, spec.family
        self.patch, self.dim = spec.patch, spec.dim
        self.mean: Triple = spec.mean
        self.std: Triple = spec.std
        self.depth = len(getattr(vit, "blocks", ())) if is_vit(vit) else 0
        self._trunk = trunk_of(vit, spec.resampling)

    @property
    def outputs(self) -> tuple[EncoderOutput, ...]:
        """Tokens and the class token, or the network's own pooling, after the final norm."""
        return (
            EncoderOutput("tokens", (Role.SPATIAL,), self.space),
            EncoderOutput("cls", (Role.SPATIAL_POOLED,), self.space),
        )

    def forward(self, images: Tensor, layers: Sequence[int] = ()) -> DinoOutput:
        """images (B, 3, H, W) float, normalised by mean and std; layers: 0-based blocks to give as well."""
        rows, columns = grid_of(images, self.patch, self.model)
        return DinoOutput(*self._trunk.run(images, rows, columns, layers))

    def encode(self, images: Tensor, layers: Sequence[int] = ()) -> tuple[Tensor, ...]:
        """As ``ImageEncoder.encode``."""
        seen = self(images, layers)
        return seen.tokens, seen.cls, *seen.layers

    def image_embedding(self, images: Tensor) -> Tensor:
        """As ``ImageEncoder.image_embedding``."""
        cls: Tensor = self(images).cls
        return cls


def load_dino(
    name: str | ModelSpec,
    *,
    device: str = "cpu",
    offline: bool = False,
    weights: Path | None = None,
    pinned: bool = False,
    progress: Progress | None = None,
) -> DinoTower:
    """Any tower of images alone, by its name or spec, in evaluation mode without gradients.

    weights: a local file in timm's names. pinned: the weights whose sha256 is fixed here, whatever a
    hub offers. Raises ModelError.
    """
    spec = model_spec(name) if isinstance(name, str) else name
    if not spec.spatial:
        raise ModelError(
            f"'{spec.name}' is no model of images alone; choose one of dinov2-*, dinov3-*, dino-*, mae-*, "
            "pe-spatial-*, c-radio*, resnet50 or timm:*"
        )
    if spec.family == PLUGIN:
        raise ModelError(
            f"'{spec.name}' is loaded by its own package, which serves it and does not train it; choose an "
            "encoder of `perception-contrast models list`"
        )
    path = weights or weights_file(spec, offline=offline, pinned=pinned, progress=progress)
    if spec.family == "student":
        from perception_contrast.encoders.student import load_student  # which stands on this module

        return load_student(spec, path).eval().requires_grad_(False).to(device)
    with uninitialised():
        network = create_network(spec.arch, spec.size, dict(spec.options))
    names = radio_names if spec.family == "radio" else _encoder_alone
    known = network.state_dict()
    state = names(load_tensors(path))
    used = {n: v for n, v in state.items() if n in known or not n.startswith(BEFORE_CLASSIFIERS)}
    load_strictly(network, used, path)
    tower = DinoTower(network, spec, space_name(spec.name, sha256_of(path)))
    return tower.eval().requires_grad_(False).to(device)


def _encoder_alone(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without a classifier, and without the prefix that distributed training adds."""
    plain = {name.removeprefix("module."): value for name, value in state.items()}
    return {
        name: value
        for name, value in plain.items()
        if name.startswith(KEPT) or not name.startswith((*CLASSIFIERS, *UNUSED))
    }
