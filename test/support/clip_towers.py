"""Small random towers of images and words, built of open_clip's and timm's own parts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import open_clip
import timm
import torch
from timm.models.vision_transformer import VisionTransformer

from perception_contrast.encoders.clip import ClipTower
from perception_contrast.encoders.dinotxt import DinoTxtHead
from perception_contrast.encoders.image_text_pair import PairNetwork
from perception_contrast.encoders.timm_backbones import create_network
from perception_contrast.encoders.tips import tips_network
from perception_contrast.models.registry import model_spec
from perception_contrast.models.specs import ModelSpec
from perception_contrast.text.text_networks import clip_text_transformer


def small_clip(method: str = "auto") -> ClipTower:
    torch.manual_seed(1)
    network = open_clip.CLIP(
        embed_dim=32,
        vision_cfg={"image_size": 64, "layers": 3, "width": 64, "patch_size": 16, "head_width": 16},
        text_cfg={"context_length": 77, "vocab_size": 49408, "width": 48, "heads": 4, "layers": 2},
        quick_gelu=True,
    )
    return _tower_of(network, replace(model_spec("clip-vit-b16"), dim=32, size=64), method)


def small_siglip(method: str = "auto") -> ClipTower:
    torch.manual_seed(2)
    network = _around_timm("ViT-B-16-SigLIP2", vocabulary=500)
    network.visual.trunk = VisionTransformer(
        img_size=64, embed_dim=64, depth=2, num_heads=4, class_token=False, global_pool="map", num_classes=0,
        act_layer=partial(torch.nn.GELU, approximate="tanh"),
    )  # fmt: skip
    return _tower_of(network, replace(model_spec("siglip2-b16"), dim=64, size=64), method)


def small_pe(method: str = "auto") -> ClipTower:
    """Perception Encoder: a class token, positions both learned and rotary."""
    torch.manual_seed(3)
    network = _around_timm("PE-Core-T-16-384", vocabulary=500)
    network.visual.trunk = timm.create_model(
        "vit_pe_core_tiny_patch16_384", img_size=64, embed_dim=64, depth=2, num_heads=4, num_classes=64,
        dynamic_img_size=True,
    )  # fmt: skip
    return _tower_of(network, replace(model_spec("pe-core-t16-384"), dim=64, size=64), method)


def small_tips_spec() -> ModelSpec:
    """TIPSv2 with few blocks, and patches of 16 pixels as the other small towers have."""
    sizes = {"patch_size": 16, "embed_dim": 64, "depth": 3, "num_heads": 4}
    text = {"temperature": 0.02, "text_depth": 2, "text_heads": 4, "text_hidden": 96}
    options = tuple(sorted((sizes | text).items()))
    return replace(model_spec("tipsv2-b14"), patch=16, dim=64, size=64, options=options)


def small_tips(method: str = "auto") -> ClipTower:
    torch.manual_seed(4)
    spec = small_tips_spec()
    return _tower_of(tips_network(spec), spec, method)


def small_dinotxt(method: str = "auto") -> ClipTower:
    torch.manual_seed(5)
    trunk = create_network(
        "vit_large_patch14_reg4_dinov2", 64, {"patch_size": 16, "embed_dim": 64, "depth": 2, "num_heads": 4}
    )
    network = PairNetwork(
        trunk, DinoTxtHead(64, 2, 4), clip_text_transformer(32, 2, 4, 77, 128), sigmoid=False
    )
    return _tower_of(network, replace(model_spec("dinotxt-v2-l14"), patch=16, dim=64, size=64), method)


def _around_timm(arch: str, vocabulary: int) -> Any:
    """open_clip's network with a small text tower, and an image tower to be replaced."""
    config = open_clip.get_model_config(arch)
    config["embed_dim"] = 64
    config["text_cfg"] |= {"vocab_size": vocabulary, "width": 64, "heads": 4, "layers": 2}
    config["vision_cfg"] |= {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "token"}
    config.pop("custom_text")
    return open_clip.CustomTextCLIP(**config)


def _tower_of(network: Any, spec: Any, method: str) -> ClipTower:
    """With weights large enough that a mistake anywhere shows."""
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim and "norm" not in name and "ln_" not in name:
                value.add_(torch.randn_like(value) * 0.05)
    return ClipTower(network, spec, "small@0", method=method).eval().requires_grad_(False)


TOWERS = {
    "clip": small_clip,
    "siglip": small_siglip,
    "pe": small_pe,
    "tips": small_tips,
    "dinotxt": small_dinotxt,
}
