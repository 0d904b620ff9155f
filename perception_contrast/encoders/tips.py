"""TIPSv2 (Cao et al., CVPR 2026): one image tower whose patches see places and are comparable with words.

The image tower is timm's. Its class token and its patches share a space with the text tower, without any
layer between. The register token is a second class token, trained with synthetic captions; as in the
authors' own code, the first one stands for the image.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from perception_contrast.encoders.image_text_pair import PairNetwork
from perception_contrast.encoders.timm_backbones import create_network
from perception_contrast.models.specs import ModelSpec
from perception_contrast.models.weight_conversion import dinov2_names
from perception_contrast.text.tips_transformer import TipsTextTransformer

IMAGES, WORDS = "vision_encoder.", "text_encoder."  # prefixes in the published files


def tips_network(spec: ModelSpec) -> PairNetwork:
    """Both towers at random initialisation, with the temperature that the model was trained to."""
    options = dict(spec.options)
    # The published files leave it out; it stands in the models' configurations.
    temperature = float(options.pop("temperature"))
    depth, heads, hidden = (int(options.pop(f"text_{size}")) for size in ("depth", "heads", "hidden"))
    text = TipsTextTransformer(spec.dim, depth, heads, hidden)
    network = PairNetwork(create_network(spec.arch, spec.size, options), nn.Identity(), text, sigmoid=False)
    nn.init.constant_(network.logit_scale, -math.log(temperature))
    return network


def tips_names(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """A published file's tensors under the names of ``tips_network``."""
    kept = {name: value for name, value in state.items() if not name.startswith((IMAGES, WORDS))}
    images = {name.removeprefix(IMAGES): value for name, value in state.items() if name.startswith(IMAGES)}
    words = {name.removeprefix(WORDS): value for name, value in state.items() if name.startswith(WORDS)}
    temperature = kept.pop("temperature", words.pop("temperature", None))
    named = {
        **kept,
        **{f"visual.trunk.{name}": value for name, value in dinov2_names(images).items()},
        **{f"text.{name}": value for name, value in words.items()},
    }
    if temperature is not None:
        named["logit_scale"] = -torch.log(temperature.float()).reshape(())
    return {"logit_scale": network.state_dict()["logit_scale"], **named}
