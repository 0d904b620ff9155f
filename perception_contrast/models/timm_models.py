"""A plain ViT, ResNet, ConvNeXt, MobileNet or EfficientNet of timm: ``timm:<architecture>[.<weights>]``."""

from __future__ import annotations

import difflib
from functools import cache
from typing import Any

from perception_contrast.core.errors import ModelError
from perception_contrast.models.licences import licence_of_timm
from perception_contrast.models.model_libraries import import_timm
from perception_contrast.models.specs import HubFile, ModelSpec

TIMM = "timm:"


@cache
def timm_model(name: str) -> ModelSpec:
    """Of ``timm:<architecture>[.<weights>]``. Raises ModelError if timm has none, or one of another kind."""
    import torch

    timm = import_timm()

    tagged = name.removeprefix(TIMM)
    arch = tagged.split(".")[0]
    if not timm.is_model(arch):
        near = difflib.get_close_matches(arch, timm.list_models(), n=3)
        remedy = f"did you mean {', '.join(TIMM + n for n in near)}?" if near else "see timm.list_models()"
        raise ModelError(f"unknown model '{name}': timm {timm.__version__} has no '{arch}'; {remedy}")
    config = timm.get_pretrained_cfg(tagged) if tagged in timm.list_pretrained(f"{arch}*") else None
    if config is None and "." in tagged:
        tags = ", ".join(TIMM + t for t in timm.list_pretrained(f"{arch}.*")) or "none"
        raise ModelError(f"unknown model '{name}': timm knows no such weights; it knows {tags}")
    config = config or timm.get_pretrained_cfg(arch)
    if config is None:
        raise ModelError(f"'{name}': timm says nothing of its size and colours, so it cannot be served")
    with torch.device("meta"):
        module: Any = timm.create_model(arch, num_classes=0)
    kind = type(module).__name__
    return ModelSpec(
        name=name,
        family="timm",
        arch=arch,
        patch=_cell(module, name),
        dim=int(module.num_features),
        size=int(config.input_size[1]),
        mean=tuple(config.mean),
        std=tuple(config.std),
        licence=licence_of_timm(config.license),
        description=f"timm's {kind} {tagged}",
        hub=_hub_file(config),
        millions=round(sum(p.numel() for p in module.parameters()) / 1e6, 1),
        interpolation=str(config.interpolation),
    )


def _cell(module: Any, name: str) -> int:
    """Pixels a side of a grid cell has. Raises ModelError for a network that cannot be run at any size."""
    from timm.layers import PatchEmbed
    from timm.models.convnext import ConvNeXt
    from timm.models.efficientnet import EfficientNet
    from timm.models.eva import Eva
    from timm.models.mobilenetv3 import MobileNetV3
    from timm.models.resnet import ResNet
    from timm.models.vision_transformer import VisionTransformer

    if type(module) in (ResNet, ConvNeXt, MobileNetV3, EfficientNet):
        return int(module.feature_info[-1]["reduction"])
    plain = type(module) in (VisionTransformer, Eva) and type(module.patch_embed) is PatchEmbed
    if not plain or "radio" in name:
        raise ModelError(
            f"'{name}' is no plain vision transformer, ResNet, ConvNeXt, MobileNet or EfficientNet (it is a "
            f"{type(module).__name__} "
            "that treats positions in its own way), so it cannot be run at any image size"
            + ("; choose one of c-radiov3-*, c-radiov4-*" if "radio" in name else "")
        )
    height, width = module.patch_embed.patch_size
    if height != width:
        raise ModelError(f"'{name}' has patches of {height}x{width} pixels; only square ones can be served")
    return int(height)


def _hub_file(config: Any) -> HubFile | None:
    if not config.hf_hub_id:
        return None
    weights = config.hf_hub_filename or "model.safetensors"
    return HubFile(config.hf_hub_id, weights, fallback="pytorch_model.bin")
