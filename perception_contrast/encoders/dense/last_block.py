"""The last block of an image tower, taken apart the same way for open_clip's and for timm's."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from timm.layers import apply_rot_embed_cat
from torch import Tensor
from torch.nn import functional

from perception_contrast.encoders.dense.attention import edited_attention
from perception_contrast.encoders.dense.method_names import PROXY, STOCK

# Ways that keep the block's residual and its feed-forward part, as their authors' code does.
WHOLE = ("maskclip", "sclip")


class LastBlock(Protocol):
    """x: the tokens (B, n, width) that enter the block, raw. Holds no parameters of its own."""

    def __call__(self, x: Tensor) -> Tensor:
        """The block as it is."""
        ...

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, each (B, heads, n, width / heads)."""
        ...

    def out(self, gathered: Tensor) -> Tensor:
        """What attention gathered (B, n, width), heads side by side, through the out projection."""
        ...

    def fed_forward(self, x: Tensor) -> Tensor:
        """x and what the feed-forward part adds to it."""
        ...


class OpenClipBlock:
    """open_clip's ResidualAttentionBlock."""

    def __init__(self, block: Any) -> None:
        self._block = block

    def __call__(self, x: Tensor) -> Tensor:
        result: Tensor = self._block(x)
        return result

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attention = self._block.attn
        mixed = functional.linear(self._block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias)
        return split_heads(mixed, attention.num_heads)

    def out(self, gathered: Tensor) -> Tensor:
        result: Tensor = self._block.ls_1(self._block.attn.out_proj(gathered))
        return result

    def fed_forward(self, x: Tensor) -> Tensor:
        added: Tensor = self._block.ls_2(self._block.mlp(self._block.ln_2(x)))
        return x + added


class TimmBlock:
    """A block of timm's VisionTransformer (SigLIP), or of its Eva with rotations (Perception Encoder).

    rope: what turns the queries and keys of patches in this block, None for learned positions.
    """

    def __init__(self, block: Any, rope: Tensor | None = None) -> None:
        self._block, self._rope = block, rope

    def __call__(self, x: Tensor) -> Tensor:
        result: Tensor = self._block(x) if self._rope is None else self._block(x, rope=self._rope)
        return result

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attention = self._block.attn
        query, key, value = split_heads(attention.qkv(self._block.norm1(x)), attention.num_heads)
        return self._turned(attention.q_norm(query)), self._turned(attention.k_norm(key)), value

    def _turned(self, vectors: Tensor) -> Tensor:
        if self._rope is None:
            return vectors
        attention = self._block.attn
        before, patches = vectors.tensor_split([attention.num_prefix_tokens], dim=2)
        turned = apply_rot_embed_cat(patches, self._rope, half=attention.rotate_half)
        return torch.cat([before, turned.type_as(vectors)], dim=2)

    def out(self, gathered: Tensor) -> Tensor:
        attention = self._block.attn
        return self._scaled(1, attention.proj(attention.norm(gathered)))

    def fed_forward(self, x: Tensor) -> Tensor:
        return x + self._scaled(2, self._block.mlp(self._block.norm2(x)))

    def _scaled(self, branch: int, x: Tensor) -> Tensor:
        """VisionTransformer scales by a layer, Eva by a parameter that may be None."""
        layer = getattr(self._block, f"ls{branch}", None)
        gamma = getattr(self._block, f"gamma_{branch}", None)
        scaled: Tensor = layer(x) if layer is not None else x if gamma is None else x * gamma
        return scaled


def split_heads(mixed: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """mixed (B, n, 3 * width), query, key and value one after the other, to three (B, heads, n, d)."""
    query, key, value = mixed.reshape(*mixed.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)
    return query, key, value


def joined_heads(vectors: Tensor) -> Tensor:
    """vectors (B, heads, n, d) to (B, n, heads * d)."""
    return vectors.transpose(1, 2).flatten(2)


def dense_tokens(block: LastBlock, method: str, x: Tensor, whole: Tensor, rows: int, columns: int) -> Tensor:
    """What the block makes of x (B, n, width), the image's patches last, by a method; the same shape.

    whole: what the block gives as it is. By proxyclip the values alone, not yet gathered.
    """
    if method == STOCK:
        return whole
    query, key, value = block.heads(x)
    if method == PROXY:
        return joined_heads(value)
    added = block.out(joined_heads(edited_attention(method, query, key, value, rows, columns)))
    return block.fed_forward(x + added) if method in WHOLE else added
