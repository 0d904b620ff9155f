"""Files in the names of dino.txt's authors, and what such files compute, in torch's own functions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from perception_contrast.encoders.timm_backbones import create_network
from perception_contrast.models.registry import model_spec
from perception_contrast.models.specs import ModelSpec

WIDTH, HIDDEN, HEADS, WORDS, END = 64, 192, 4, 32, 49407
Tensors = dict[str, Tensor]
# Where the parts lie in the files of either version.
PARTS = {
    "dinotxt-v2-l14": ("block_list.", "ln_final.", "backbone.", "head."),
    "dinotxt-v3-l16": (
        "visual_model.head.blocks.", "visual_model.head.ln_final.",
        "text_model.backbone.", "text_model.head.",
    ),
}  # fmt: skip


def small_dino(name: str) -> ModelSpec:
    """The DINO below a dino.txt, with two blocks."""
    sizes = (("embed_dim", WIDTH), ("depth", 2), ("num_heads", HEADS))
    return replace(model_spec(model_spec(name).companion), dim=WIDTH, options=sizes)


def small_dinotxt(name: str) -> ModelSpec:
    sizes = {"head_depth": 2, "head_heads": HEADS, "text_depth": 2, "text_heads": HEADS, "text_width": WORDS}
    return replace(model_spec(name), dim=WIDTH, options=tuple(sizes.items()))


def random_dino(name: str) -> nn.Module:
    """timm's network, with weights so large that mistakes show."""
    spec = small_dino(name)
    network = create_network(spec.arch, spec.size, dict(spec.options) | {"dynamic_img_size": True})
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn_like(value) * 0.05)
    return network.eval().requires_grad_(False)


def random_heads(name: str) -> Tensors:
    """All tensors of the published files, in their names."""
    blocks, norm, text, head = PARTS[name]
    shapes: dict[str, tuple[int, ...]] = {}
    for number in range(2):
        at = f"{blocks}{number}."
        shapes |= {
            f"{at}attn.qkv.weight": (3 * WIDTH, WIDTH), f"{at}attn.proj.weight": (WIDTH, WIDTH),
            f"{at}mlp.w1.weight": (HIDDEN, WIDTH), f"{at}mlp.w1.bias": (HIDDEN,),
            f"{at}mlp.w2.weight": (HIDDEN, WIDTH), f"{at}mlp.w2.bias": (HIDDEN,),
            f"{at}mlp.w3.weight": (WIDTH, HIDDEN), f"{at}mlp.w3.bias": (WIDTH,),
            f"{at}attn.proj.bias": (WIDTH,),
            f"{at}ls1.gamma": (WIDTH,), f"{at}ls2.gamma": (WIDTH,),
            **{f"{at}norm{n}.{kind}": (WIDTH,) for n in (1, 2) for kind in ("weight", "bias")},
        }  # fmt: skip
        at = f"{text}blocks.{number}."
        shapes |= {
            f"{at}attention.qkv.weight": (3 * WORDS, WORDS), f"{at}attention.proj.weight": (WORDS, WORDS),
            f"{at}attention.proj.bias": (WORDS,), f"{at}feed_forward.fc1.weight": (4 * WORDS, WORDS),
            f"{at}feed_forward.fc1.bias": (4 * WORDS,), f"{at}feed_forward.fc2.weight": (WORDS, 4 * WORDS),
            f"{at}feed_forward.fc2.bias": (WORDS,),
            **{f"{at}{n}_norm.{k}": (WORDS,) for n in ("attention", "ffn") for k in ("weight", "bias")},
        }  # fmt: skip
    shapes |= {f"{norm}{kind}": (WIDTH,) for kind in ("weight", "bias")}
    shapes |= {f"{text}ln_final.{kind}": (WORDS,) for kind in ("weight", "bias")}
    shapes |= {
        f"{text}token_embedding.weight": (END + 1, WORDS), f"{text}positional_embedding": (77, WORDS),
        f"{head}linear_projection.weight": (2 * WIDTH, WORDS),
    }  # fmt: skip
    made = {key: torch.randn(shape) * 0.3 for key, shape in shapes.items()}
    return made if name == "dinotxt-v2-l14" else made | {"logit_scale": torch.tensor([3.5])}


def write_heads(name: str, tensors: Tensors, folder: Path) -> Path:
    """The files that a dino.txt has; gives the first one."""
    web = model_spec(name).web
    assert web is not None
    words = {key: value for key, value in tensors.items() if key.startswith(PARTS[name][2:])}
    images = {key: value for key, value in tensors.items() if key not in words}
    if web.others:
        torch.save(images, folder / web.weights)
        torch.save(words, folder / web.others[0])
    else:
        torch.save(tensors, folder / web.weights)
    return folder / web.weights


def image_tokens(name: str, tensors: Tensors, tokens: Tensor) -> Tensor:
    """tokens (B, n, c) of DINO after its norm, through the published blocks and their norm."""
    blocks, norm, *_ = PARTS[name]
    for number in range(2):
        tokens = _block(tokens, {k.removeprefix(f"{blocks}{number}."): v for k, v in tensors.items()})
    return functional.layer_norm(tokens, (WIDTH,), tensors[f"{norm}weight"], tensors[f"{norm}bias"])


def _block(x: Tensor, t: Tensors) -> Tensor:
    normed = functional.layer_norm(x, (WIDTH,), t["norm1.weight"], t["norm1.bias"])
    mixed = (normed @ t["attn.qkv.weight"].T).unflatten(-1, (3, HEADS, WIDTH // HEADS))
    query, key, value = mixed.permute(2, 0, 3, 1, 4)
    seen = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    x = x + t["ls1.gamma"] * functional.linear(seen, t["attn.proj.weight"], t["attn.proj.bias"])
    normed = functional.layer_norm(x, (WIDTH,), t["norm2.weight"], t["norm2.bias"])
    gate = functional.silu(functional.linear(normed, t["mlp.w1.weight"], t["mlp.w1.bias"]))
    gated = gate * functional.linear(normed, t["mlp.w2.weight"], t["mlp.w2.bias"])
    return x + t["ls2.gamma"] * functional.linear(gated, t["mlp.w3.weight"], t["mlp.w3.bias"])


def text_vectors(name: str, tensors: Tensors, ids: Tensor) -> Tensor:
    """ids (n, 77) to (n, 2 * WIDTH), by torch's own transformer with a causal mask, at the end token."""
    _, _, text, head = PARTS[name]
    layer = nn.TransformerEncoderLayer(
        WORDS, HEADS, 4 * WORDS, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    network = nn.TransformerEncoder(
        layer, 2, norm=nn.LayerNorm(WORDS), enable_nested_tensor=False
    ).requires_grad_(False)
    theirs = {
        "self_attn.in_proj_weight": "attention.qkv.weight",
        "self_attn.out_proj.weight": "attention.proj.weight",
        "self_attn.out_proj.bias": "attention.proj.bias", "linear1.weight": "feed_forward.fc1.weight",
        "linear1.bias": "feed_forward.fc1.bias", "linear2.weight": "feed_forward.fc2.weight",
        "linear2.bias": "feed_forward.fc2.bias", "norm1.weight": "attention_norm.weight",
        "norm1.bias": "attention_norm.bias", "norm2.weight": "ffn_norm.weight", "norm2.bias": "ffn_norm.bias",
    }  # fmt: skip
    state = {f"norm.{kind}": tensors[f"{text}ln_final.{kind}"] for kind in ("weight", "bias")}
    for number in range(2):
        at = f"layers.{number}."
        state[f"{at}self_attn.in_proj_bias"] = torch.zeros(3 * WORDS)
        state |= {f"{at}{k}": tensors[f"{text}blocks.{number}.{v}"] for k, v in theirs.items()}
    network.load_state_dict(state)
    x = tensors[f"{text}token_embedding.weight"][ids] + tensors[f"{text}positional_embedding"]
    mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
    ends = [row.index(END) for row in ids.tolist()]
    found: Tensor = network(x, mask=mask, is_causal=True)[torch.arange(len(ids)), ends]
    return found @ tensors[f"{head}linear_projection.weight"].T
