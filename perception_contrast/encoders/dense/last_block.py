"""The last block of an image tower with its attention replaced, the same for open_clip and timm."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from perception_contrast.encoders.dense.method_names import PROXY, STOCK
from perception_contrast.encoders.dense.methods import ATTENTION_EDITS


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

    def feed_forward(self, x: Tensor) -> Tensor:
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

    def feed_forward(self, x: Tensor) -> Tensor:
        added: Tensor = self._block.ls_2(self._block.mlp(self._block.ln_2(x)))
        return x + added


class TimmBlock:
    """A block of timm's VisionTransformer (SigLIP), or of its Eva with rotations (Perception Encoder).

    rope: rotary embedding of the patches' queries and keys in this block, None for learned positions.
    """

    def __init__(self, block: Any, rope: Tensor | None = None) -> None:
        self._block, self._rope = block, rope

    def __call__(self, x: Tensor) -> Tensor:
        result: Tensor = self._block(x) if self._rope is None else self._block(x, rope=self._rope)
        return result

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attention = self._block.attn
        query, key, value = split_heads(attention.qkv(self._block.norm1(x)), attention.num_heads)
        return self._rotated(attention.q_norm(query)), self._rotated(attention.k_norm(key)), value

    def _rotated(self, vectors: Tensor) -> Tensor:
        if self._rope is None:
            return vectors
        attention = self._block.attn
        prefix, patches = vectors.tensor_split([attention.num_prefix_tokens], dim=2)
        from timm.layers import apply_rot_embed_cat  # a network with rotations has imported it

        rotated = apply_rot_embed_cat(patches, self._rope, half=attention.rotate_half)
        return torch.cat([prefix, rotated.type_as(vectors)], dim=2)

    def out(self, gathered: Tensor) -> Tensor:
        attention = self._block.attn
        return self._scaled(1, attention.proj(attention.norm(gathered)))

    def feed_forward(self, x: Tensor) -> Tensor:
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


def dense_tokens(
    block: LastBlock, method: str, x: Tensor, unchanged: Tensor, rows: int, columns: int
) -> Tensor:
    """The last block's output by a method of dense features.

    Args:
        block: the block.
        method: stock, proxyclip or one of ``methods.ATTENTION_EDITS``.
        x: (B, n, width), the tokens that enter the block, the image's patches last.
        unchanged: (B, n, width), the output of the unchanged block.
        rows: rows of patches.
        columns: columns of patches.

    Returns:
        (B, n, width); by proxyclip the values of the attention.
    """
    if method == STOCK:
        return unchanged
    query, key, value = block.heads(x)
    if method == PROXY:
        return joined_heads(value)
    edit = ATTENTION_EDITS[method]
    added = block.out(joined_heads(edit.attend(query, key, value, rows, columns)))
    return block.feed_forward(x + added) if edit.keeps_block else added
