"""Other libraries' own modules for a model and an image size, on its weights where names agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from perception_contrast.bench.bench_models import Size
from perception_contrast.core.errors import ModelError, one_line
from perception_contrast.encoders.encoder_graph import EncoderGraph
from perception_contrast.models.registry import model_spec
from perception_contrast.models.specs import ModelSpec

_POSITIONS = ("pos_embed", "positional_embedding")


@dataclass(frozen=True)
class LibraryModule:
    """A library's own module for images of a size.

    Attributes:
        name: of the library.
        what: the call that is timed, in words.
        module: takes images (B, 3, H, W) float32, normalised.
        same_weights: whether it has the weights of the model that it is compared with, else random ones.
    """

    name: str
    what: str
    module: nn.Module
    same_weights: bool = False


class _Features(nn.Module):
    """timm's forward_features as a module, to be exported."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network.forward_features(images)
        return features


def library_modules(tower: EncoderGraph, size: Size) -> tuple[list[LibraryModule], dict[str, str]]:
    """The modules that libraries have for a model, and name to reason for the libraries without one.

    Args:
        tower: the model as we run it, whose weights theirs get.
        size: (height, width) of the images, which the modules are built for.

    Returns:
        Modules on the tower's device, in evaluation mode without gradients, and name to reason.
    """
    spec = model_spec(tower.model)
    device = next(tower.parameters()).device
    built: list[LibraryModule] = []
    skipped: dict[str, str] = {}
    makers: tuple[tuple[str, Callable[..., LibraryModule]], ...] = (
        ("timm", _timm),
        ("open_clip", _open_clip),
        ("transformers", _transformers),
    )
    for name, make in makers:
        try:
            made = make(spec, size, tower)
            made.module.eval().requires_grad_(False).to(device)
            with torch.inference_mode():
                made.module(torch.zeros(1, 3, *size, device=device))
        except Exception as error:  # three libraries, each with kinds of its own
            skipped[name] = one_line(error)
            continue
        built.append(made)
    return built, skipped


def _take_weights(module: nn.Module, source: nn.Module | None, grid: Size) -> bool:
    """Loads the weights of a network of the same names.

    Args:
        module: with random weights, which it keeps where names or shapes differ.
        source: with the weights, None where there is no such network.
        grid: rows and columns of patches that learned positions are resampled to, by timm.

    Returns:
        Whether the module has them now.
    """
    if source is None:
        return False
    wanted = module.state_dict()
    state = {
        name: _fitting(name, value, wanted.get(name), grid) for name, value in source.state_dict().items()
    }
    try:
        module.load_state_dict(state)
    except RuntimeError:
        return False
    return True


def _fitting(name: str, value: Tensor, target: Tensor | None, grid: Size) -> Tensor:
    """A value in the shape of the module's own, where it is an embedding of positions on another grid."""
    from timm.layers import resample_abs_pos_embed

    if target is None or target.shape == value.shape or not name.endswith(_POSITIONS):
        return value
    prefix = target.shape[-2] - grid[0] * grid[1]
    fitted: Tensor = resample_abs_pos_embed(
        value.reshape(1, *value.shape[-2:]), list(grid), num_prefix_tokens=prefix
    )
    return fitted.reshape(target.shape)


def _grid(spec: ModelSpec, size: Size) -> Size:
    return size[0] // spec.patch, size[1] // spec.patch


def _open_clip_config(spec: ModelSpec) -> dict[str, Any] | None:
    import open_clip

    config: dict[str, Any] | None = open_clip.get_model_config(spec.arch)
    return config


def _timm(spec: ModelSpec, size: Size, tower: EncoderGraph) -> LibraryModule:
    import timm

    if _open_clip_config(spec) is not None:
        raise ModelError("open_clip is the library that this model comes from")
    try:
        network = timm.create_model(spec.arch, pretrained=False, num_classes=0, img_size=size)
    except TypeError:  # convolutions take any size and are not asked for one
        network = timm.create_model(spec.arch, pretrained=False, num_classes=0)
    same = _take_weights(network, getattr(tower.encoder, "vit", None), _grid(spec, size))
    return LibraryModule("timm", f"timm {spec.arch}: forward_features", _Features(network), same)


def _open_clip(spec: ModelSpec, size: Size, tower: EncoderGraph) -> LibraryModule:
    import open_clip

    config = _open_clip_config(spec)
    if config is None:
        raise ModelError("open_clip has no such architecture")
    config["vision_cfg"]["image_size"] = size
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    network = kind(**config)
    owner = getattr(
        tower.encoder, "tower", tower.encoder
    )  # a PatchEncoder holds the model that it is a part of
    ours = getattr(getattr(owner, "network", None), "visual", None)
    same = _take_weights(network.visual, ours, _grid(spec, size))
    # ``encode_image`` is this module's forward; the tower of words would only take memory.
    return LibraryModule("open_clip", f"open_clip {spec.arch}: encode_image", network.visual, same)


def _transformers(spec: ModelSpec, size: Size, tower: EncoderGraph) -> LibraryModule:
    """At random weights: its names are others."""
    if spec.family == "dinov2":
        return LibraryModule("transformers", "transformers Dinov2Model", _dinov2_of_transformers(spec, size))
    if spec.family == "clip" and (config := _open_clip_config(spec)) is not None:
        return LibraryModule(
            "transformers", "transformers CLIPVisionModelWithProjection", _clip_of_transformers(config, size)
        )
    raise ModelError("transformers' counterpart of this family is not built here")


class _Resampled(nn.Module):
    """A model of transformers whose positions are resampled where the size is not the one it was made for."""

    def __init__(self, network: Any, resample: bool) -> None:
        super().__init__()
        self.network, self.options = network, {"interpolate_pos_encoding": True} if resample else {}

    def forward(self, images: Tensor) -> Any:
        return self.network(pixel_values=images, **self.options)


def _dinov2_of_transformers(spec: ModelSpec, size: Size) -> nn.Module:
    import timm
    import transformers

    with torch.device("meta"):
        vit: Any = timm.create_model(spec.arch, pretrained=False, num_classes=0)
    options: dict[str, Any] = {
        "hidden_size": vit.embed_dim,
        "num_hidden_layers": len(vit.blocks),
        "num_attention_heads": vit.blocks[0].attn.num_heads,
        "image_size": size[0] if size[0] == size[1] else spec.size,
        "patch_size": spec.patch,
        "use_swiglu_ffn": "giant" in spec.arch,
    }
    if vit.reg_token is None:
        return _Resampled(transformers.Dinov2Model(transformers.Dinov2Config(**options)), False)
    config = transformers.Dinov2WithRegistersConfig(num_register_tokens=vit.reg_token.shape[1], **options)
    return _Resampled(transformers.Dinov2WithRegistersModel(config), False)


def _clip_of_transformers(config: dict[str, Any], size: Size) -> nn.Module:
    import transformers

    vision = config["vision_cfg"]
    if not isinstance(vision["layers"], int):
        raise ModelError("transformers has no CLIP of convolutions")
    width = vision["width"]
    square = size[0] == size[1]
    made = transformers.CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=int(width * vision.get("mlp_ratio", 4.0)),
        projection_dim=config["embed_dim"],
        num_hidden_layers=vision["layers"],
        num_attention_heads=width // vision.get("head_width", 64),
        image_size=size[0] if square else vision["image_size"],
        patch_size=vision["patch_size"],
        hidden_act="quick_gelu" if config.get("quick_gelu") else "gelu",
    )
    return _Resampled(transformers.CLIPVisionModelWithProjection(made), not square)
