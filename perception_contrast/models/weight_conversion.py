"""Weights of one implementation under the parameter names of another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import ModelError

if TYPE_CHECKING:
    import onnx


def _constants(model: onnx.ModelProto) -> dict[str, FloatArray]:
    """Initialisers by name, and by node name the constant that a MatMul, Reshape or Concat takes."""
    from onnx.numpy_helper import to_array

    held = {t.name: to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("MatMul", "Reshape", "Concat"):
            for name in node.input:
                if name in held:
                    held[node.name] = held[name]
    return held


def dinov2_from_onnx(path: Path) -> dict[str, torch.Tensor]:
    """The ``backbone`` of an exported transformers Dinov2Model, under timm's parameter names.

    Linear weights are anonymous in such an export, so they are found by the name of their MatMul.
    """
    import onnx

    try:
        held = _constants(onnx.load(str(path), load_external_data=False))
    except Exception as error:  # of protocol buffers and of onnx, which have no common base
        raise ModelError(f"{path.name} cannot be read as ONNX ({error}); fetch it again") from error
    try:
        return _timm_names(held)
    except KeyError as error:
        raise ModelError(f"{path.name} holds no DINOv2 backbone: {error} is missing") from error
    except (ValueError, TypeError) as error:  # of NumPy, where tensors have other shapes or types
        raise ModelError(f"{path.name} holds no DINOv2 backbone: {error}") from error


def _timm_names(held: dict[str, FloatArray]) -> dict[str, torch.Tensor]:
    embeddings = "backbone.embeddings"
    state: dict[str, FloatArray] = {
        "cls_token": held[f"{embeddings}.cls_token"],
        "pos_embed": np.concatenate(
            [held["/backbone/embeddings/Concat_6"], held["/backbone/embeddings/Reshape_1"]], axis=1
        ),
    }
    for kind in ("weight", "bias"):
        state[f"patch_embed.proj.{kind}"] = held[f"{embeddings}.patch_embeddings.projection.{kind}"]
        state[f"norm.{kind}"] = held[f"backbone.layernorm.{kind}"]
    depth = sum(name.endswith("layer_scale1.lambda1") for name in held)
    for index in range(depth):
        block = _block(held, index)
        state.update({f"blocks.{index}.{name}": value for name, value in block.items()})
    return {name: torch.from_numpy(np.array(value, order="C")) for name, value in state.items()}


def _block(held: dict[str, FloatArray], index: int) -> dict[str, FloatArray]:
    def bias(name: str) -> FloatArray:
        return held[f"backbone.encoder.layer.{index}.{name}"]

    def weight(name: str) -> FloatArray:
        # MatMul multiplies from the right; nn.Linear holds the transpose.
        return held[f"/backbone/encoder/layer.{index}/{name}/MatMul"].T

    parts = ("query", "key", "value")
    block = {
        "attn.qkv.weight": np.concatenate([weight(f"attention/attention/{p}") for p in parts]),
        "attn.qkv.bias": np.concatenate([bias(f"attention.attention.{p}.bias") for p in parts]),
        "attn.proj.weight": weight("attention/output/dense"),
        "attn.proj.bias": bias("attention.output.dense.bias"),
    }
    for layer in ("fc1", "fc2"):
        block[f"mlp.{layer}.weight"] = weight(f"mlp/{layer}")
        block[f"mlp.{layer}.bias"] = bias(f"mlp.{layer}.bias")
    for number in (1, 2):
        block[f"ls{number}.gamma"] = bias(f"layer_scale{number}.lambda1")
        for kind in ("weight", "bias"):
            block[f"norm{number}.{kind}"] = bias(f"norm{number}.{kind}")
    return block


# A gated MLP's first layers are one in DINOv2 and in timm, in the same order.
_MLP_NAMES = (
    (".mlp.w12.", ".mlp.fc1."),
    (".mlp.w3.", ".mlp.fc2."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
)


def dinov2_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of a vision transformer in the names of DINOv2's authors, under timm's.

    With registers, timm keeps no position for the class token, so that position is added to the token.
    """
    named: dict[str, torch.Tensor] = {}
    registers = "register_tokens" in state
    for name, value in state.items():
        if name == "mask_token":
            continue
        if name == "register_tokens":
            named["reg_token"] = value
        elif name == "cls_token" and registers:
            named[name] = value + state["pos_embed"][:, :1]
        elif name == "pos_embed" and registers:
            named[name] = value[:, 1:]
        else:
            for theirs, timms in _MLP_NAMES:
                name = name.replace(theirs, timms)
            named[name] = value
    return named


_CLIP_NAMES = (
    ("vision_model.embeddings.patch_embedding.", "visual.conv1."),
    ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
    ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
    ("vision_model.pre_layrnorm.", "visual.ln_pre."),  # transformers' own spelling
    ("vision_model.post_layernorm.", "visual.ln_post."),
    ("vision_model.encoder.layers.", "visual.transformer.resblocks."),
    ("text_model.embeddings.token_embedding.", "token_embedding."),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.final_layer_norm.", "ln_final."),
    ("text_model.encoder.layers.", "transformer.resblocks."),
    (".self_attn.out_proj.", ".attn.out_proj."),
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
)
_CLIP_PROJECTIONS = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}


def open_clip_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A CLIP's tensors in the names of transformers, under open_clip's, which packs query, key and value."""
    named: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        if name in _CLIP_PROJECTIONS:
            named[_CLIP_PROJECTIONS[name]] = value.T.contiguous()
            continue
        if name.endswith(("position_ids", "k_proj.weight", "k_proj.bias", "v_proj.weight", "v_proj.bias")):
            continue  # Numbers in a row, and what goes with the query.
        if ".self_attn.q_proj." in name:
            value = torch.cat([state[name.replace("q_proj", f"{part}_proj")] for part in "qkv"])
            name = name.replace(".self_attn.q_proj.", ".attn.in_proj_")
        for theirs, ours in _CLIP_NAMES:
            name = name.replace(theirs, ours)
        named[name] = value
    return named


# What begins the image tower's names in files of the hub's model, and in the authors' checkpoints.
_RADIO = ("radio_model.model.", "base_model.")


def radio_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A C-RADIO file's image tower, in the names of its authors, under timm's; timm's own stay.

    Left out are the adaptors to its teachers, the colours' mean and deviation, which the model's entry has,
    and the patches of videos. timm's layer of patches has a bias, which is 0 here.
    """
    if not any(name.startswith(_RADIO) for name in state):
        return state
    named: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        inner = next((name.removeprefix(start) for start in _RADIO if name.startswith(start)), name)
        if inner == "patch_generator.embedder.weight":
            side = round((value.shape[1] / 3) ** 0.5)
            named["patch_embed.proj.weight"] = value.reshape(value.shape[0], 3, side, side)
            named["patch_embed.proj.bias"] = value.new_zeros(value.shape[0])
        elif inner == "patch_generator.pos_embed":
            named["pos_embed"] = value
        elif inner == "patch_generator.cls_token.token":
            # A class token for each teacher, then registers; timm counts all but the first as registers.
            named["cls_token"], named["reg_token"] = value[None, :1], value[None, 1:]
        elif name.startswith(_RADIO) and inner.startswith("blocks."):
            named[inner.replace(".grandma", ".gamma")] = value
    return named
