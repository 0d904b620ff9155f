"""transformers' CLIP and SigLIP with the tensors of an open_clip network, in the names of published files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

Tensors = dict[str, Tensor]


def _norm_and_mlp(source: Tensors, old: str, names: dict[str, str]) -> Tensors:
    return {
        f"{new}.{kind}": source[f"{old}{name}.{kind}"]
        for name, new in names.items()
        for kind in ("weight", "bias")
    }


def _open_clip_layers(source: Tensors, old: str, new: str) -> Tensors:
    """Layers of open_clip's own transformer: packed query, key, value."""
    found: Tensors = {}
    names = {
        "attn.out_proj": "self_attn.out_proj", "ln_1": "layer_norm1", "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
    }  # fmt: skip
    depth = sum(k.startswith(f"{old}resblocks.") and k.endswith("ln_1.weight") for k in source)
    for i in range(depth):
        block, layer = f"{old}resblocks.{i}.", f"{new}encoder.layers.{i}."
        found.update(_norm_and_mlp(source, block, {k: layer + v for k, v in names.items()}))
        for kind in ("weight", "bias"):
            for part, value in zip("qkv", source[f"{block}attn.in_proj_{kind}"].chunk(3), strict=True):
                found[f"{layer}self_attn.{part}_proj.{kind}"] = value
    return found


def _timm_layers(source: Tensors, old: str, new: str) -> Tensors:
    found: Tensors = {}
    names = {
        "attn.proj": "self_attn.out_proj", "norm1": "layer_norm1", "norm2": "layer_norm2",
        "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2",
    }  # fmt: skip
    depth = sum(k.startswith(f"{old}blocks.") and k.endswith("norm1.weight") for k in source)
    for i in range(depth):
        block, layer = f"{old}blocks.{i}.", f"{new}encoder.layers.{i}."
        found.update(_norm_and_mlp(source, block, {k: layer + v for k, v in names.items()}))
        for kind in ("weight", "bias"):
            for part, value in zip("qkv", source[f"{block}attn.qkv.{kind}"].chunk(3), strict=True):
                found[f"{layer}self_attn.{part}_proj.{kind}"] = value
    return found


def _load(kind: Any, config: Any, tensors: Tensors, folder: Path) -> Any:
    config.save_pretrained(folder)
    save_file(
        {k: v.detach().clone().contiguous() for k, v in tensors.items()}, folder / "model.safetensors",
        {"format": "pt"},
    )  # fmt: skip
    twin, report = kind.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    missing = [name for name in report["missing_keys"] if "position_ids" not in name]
    assert not missing and not report["unexpected_keys"], (missing, report["unexpected_keys"])
    return twin.eval()


def clip_twin(network: Any, folder: Path) -> Any:
    """transformers' CLIPModel. network: open_clip.CLIP."""
    from transformers import CLIPConfig, CLIPModel

    s = dict(network.state_dict())
    visual, text = network.visual, network.transformer
    activation = "quick_gelu" if type(text.resblocks[0].mlp.gelu).__name__ == "QuickGELU" else "gelu"
    config = CLIPConfig(
        projection_dim=visual.output_dim,
        text_config={
            "vocab_size": network.vocab_size, "hidden_size": text.width, "num_hidden_layers": text.layers,
            "intermediate_size": 4 * text.width, "num_attention_heads": text.resblocks[0].attn.num_heads,
            "max_position_embeddings": network.context_length, "hidden_act": activation,
            "bos_token_id": 49406, "eos_token_id": 49407,
        },
        vision_config={
            "hidden_size": visual.transformer.width, "num_hidden_layers": visual.transformer.layers,
            "intermediate_size": 4 * visual.transformer.width,
            "num_attention_heads": visual.transformer.resblocks[0].attn.num_heads,
            "image_size": visual.image_size[0], "patch_size": visual.patch_size[0], "hidden_act": activation,
        },
    )  # fmt: skip
    tensors = {
        "logit_scale": s["logit_scale"],
        "visual_projection.weight": s["visual.proj"].T,
        "text_projection.weight": s["text_projection"].T,
        "text_model.embeddings.token_embedding.weight": s["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": s["positional_embedding"],
        "vision_model.embeddings.class_embedding": s["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": s["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": s["visual.positional_embedding"],
        **_norm_and_mlp(s, "", {"ln_final": "text_model.final_layer_norm"}),
        **_norm_and_mlp(
            s, "visual.", {"ln_pre": "vision_model.pre_layrnorm", "ln_post": "vision_model.post_layernorm"}
        ),
        **_open_clip_layers(s, "transformer.", "text_model."),
        **_open_clip_layers(s, "visual.transformer.", "vision_model."),
    }
    return _load(CLIPModel, config, tensors, folder)


def siglip_twin(network: Any, folder: Path) -> Any:
    """transformers' SiglipModel. network: open_clip.CustomTextCLIP around timm's SigLIP tower."""
    from transformers import SiglipConfig, SiglipModel

    s = dict(network.state_dict())
    trunk, text = network.visual.trunk, network.text
    config = SiglipConfig(
        text_config={
            "vocab_size": len(s["text.token_embedding.weight"]), "hidden_size": text.transformer.width,
            "num_hidden_layers": len(text.transformer.resblocks),
            "intermediate_size": s["text.transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
            "num_attention_heads": text.transformer.resblocks[0].attn.num_heads,
            "max_position_embeddings": s["text.positional_embedding"].shape[0],
            "projection_size": s["text.text_projection.weight"].shape[0],
        },
        vision_config={
            "hidden_size": trunk.embed_dim, "num_hidden_layers": len(trunk.blocks),
            "intermediate_size": trunk.blocks[0].mlp.fc1.out_features,
            "num_attention_heads": trunk.blocks[0].attn.num_heads,
            "image_size": trunk.patch_embed.img_size[0], "patch_size": trunk.patch_embed.patch_size[0],
        },
    )  # fmt: skip
    old, new = "visual.trunk.", "vision_model."
    q, kv = (f"{old}attn_pool.{name}" for name in ("q", "kv"))
    tensors = {
        "logit_scale": s["logit_scale"].reshape(1),
        "logit_bias": s["logit_bias"].reshape(1),
        "text_model.embeddings.token_embedding.weight": s["text.token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": s["text.positional_embedding"],
        f"{new}embeddings.position_embedding.weight": s[f"{old}pos_embed"][0],
        f"{new}head.probe": s[f"{old}attn_pool.latent"],
        f"{new}head.attention.in_proj_weight": torch.cat([s[f"{q}.weight"], s[f"{kv}.weight"]]),
        f"{new}head.attention.in_proj_bias": torch.cat([s[f"{q}.bias"], s[f"{kv}.bias"]]),
        **_norm_and_mlp(
            s, "text.", {"ln_final": "text_model.final_layer_norm", "text_projection": "text_model.head"}
        ),
        **_norm_and_mlp(
            s, old, {
                "patch_embed.proj": f"{new}embeddings.patch_embedding", "norm": f"{new}post_layernorm",
                "attn_pool.proj": f"{new}head.attention.out_proj", "attn_pool.norm": f"{new}head.layernorm",
                "attn_pool.mlp.fc1": f"{new}head.mlp.fc1", "attn_pool.mlp.fc2": f"{new}head.mlp.fc2",
            },
        ),
        **_open_clip_layers(s, "text.transformer.", "text_model."),
        **_timm_layers(s, old, new),
    }  # fmt: skip
    return _load(SiglipModel, config, tensors, folder)
