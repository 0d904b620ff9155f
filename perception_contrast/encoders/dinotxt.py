"""dino.txt (Jose et al., "DINOv2 Meets Text", CVPR 2025; Siméoni et al., "DINOv3", 2025): words for DINO.

DINO stays as it was trained. Two blocks read its class token, registers and patches after its last norm. The
image is the new class token beside the mean of the new patches, and a text has as many numbers: its first
half goes with the class token, its second half with a patch. So the vectors of patches and those of whole
images have spaces of their own.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from perception_contrast.encoders.image_text_pair import PairNetwork
from perception_contrast.encoders.timm_backbones import create_network
from perception_contrast.models.model_libraries import import_timm
from perception_contrast.models.registry import model_spec
from perception_contrast.models.specs import ModelSpec
from perception_contrast.text.text_networks import clip_text_transformer

TOKENS = 77
# The files for DINOv2 leave the trained scale out; this one stands in the authors' example of their use.
SCALE = 100.0
_ALIGNED = 64  # channels of the gated MLP are a multiple of it


class DinoTxtHead(nn.Module):
    """The blocks between DINO and the words; they add no positions.

    Args:
        width: channels, those of DINO.
        depth: blocks.
        heads: attention heads.
    """

    def __init__(self, width: int, depth: int, heads: int) -> None:
        import_timm()
        from timm.layers import SwiGLU
        from timm.models.vision_transformer import Block

        super().__init__()
        hidden = -(-(4 * width * 2 // 3) // _ALIGNED) * _ALIGNED
        self.blocks: Any = nn.ModuleList(
            Block(
                width,
                heads,
                mlp_ratio=(hidden + 0.5) / width,  # It rounds the product down.
                init_values=1e-5,
                act_layer=nn.SiLU,
                mlp_layer=SwiGLU,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)


def dinotxt_network(spec: ModelSpec) -> PairNetwork:
    """DINO, the blocks on it and the text tower at random initialisation."""
    sizes = {name: int(value) for name, value in spec.options}
    head = DinoTxtHead(spec.dim, sizes["head_depth"], sizes["head_heads"])
    text = clip_text_transformer(
        sizes["text_width"], sizes["text_depth"], sizes["text_heads"], TOKENS, spec.image_dim
    )
    dino = model_spec(spec.companion)
    trunk = create_network(dino.arch, dino.size, dict(dino.options))
    network = PairNetwork(trunk, head, text, sigmoid=False)
    nn.init.constant_(network.logit_scale, math.log(SCALE))
    return network


# Names in the published files to those of ``dinotxt_network``. DINOv2's come in two files, DINOv3's in one.
_PLACES = (
    ("visual_model.head.blocks.", "visual.head.blocks."),
    ("visual_model.head.ln_final.", "visual.head.norm."),
    ("block_list.", "visual.head.blocks."),
    ("ln_final.", "visual.head.norm."),
    ("text_model.backbone.", "text."),
    ("text_model.head.", "text.head."),
    ("backbone.", "text."),
    ("head.linear_projection.", "text.head.linear_projection."),
)
_IN_HEAD = ((".mlp.w1.", ".mlp.fc1_g."), (".mlp.w2.", ".mlp.fc1_x."), (".mlp.w3.", ".mlp.fc2."))
_IN_TEXT = (
    ("text.blocks.", "text.transformer.resblocks."),
    (".attention_norm.", ".ln_1."),
    (".ffn_norm.", ".ln_2."),
    (".attention.qkv.weight", ".attn.in_proj_weight"),
    (".attention.proj.", ".attn.out_proj."),
    (".feed_forward.fc1.", ".mlp.c_fc."),
    (".feed_forward.fc2.", ".mlp.c_proj."),
)


def dinotxt_names(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Tensors of the published files, and DINO's in timm's names, under the names of ``dinotxt_network``."""
    named = {"logit_scale": network.state_dict()["logit_scale"]}
    for name, value in state.items():
        if name.startswith("visual_model.backbone."):
            continue  # DINO's own file has it.
        place = next(((old, new) for old, new in _PLACES if name.startswith(old)), None)
        if name == "logit_scale":
            named[name] = value.reshape(())
        elif place is None:
            named[f"visual.trunk.{name}"] = value
        else:
            named |= _renamed(place[1] + name.removeprefix(place[0]), value)
    return named


def _renamed(name: str, value: Tensor) -> dict[str, Tensor]:
    if name == "text.head.linear_projection.weight":
        return {"text.text_projection": value.T.contiguous()}
    for old, new in _IN_HEAD if name.startswith("visual.") else _IN_TEXT:
        name = name.replace(old, new)
    if name.endswith("in_proj_weight"):
        # Its attention has no bias; that of open_clip's blocks has one, which is 0 here.
        return {name: value, name.replace("weight", "bias"): torch.zeros_like(value[:, 0])}
    return {name: value}
