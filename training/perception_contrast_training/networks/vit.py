"""timm's vision transformers in training: any grid, masked or dropped patches, blocks that are recomputed.

What they give without masks is what ``perception_contrast.encoders.timm_backbones`` serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from perception_contrast.encoders.position_embedding import resampled
from perception_contrast.models.specs import Resampling


def vit_sequence(
    vit: Any,
    images: Tensor,
    *,
    antialias: bool,
    checkpointing: bool = False,
    mask_token: Tensor | None = None,
    masked: Tensor | None = None,
    kept: Tensor | None = None,
) -> Tensor:
    """Prefix tokens and patches (n, t, c) after the final norm.

    masked: (n, patches) bool, where ``mask_token`` (c,) stands in place of the patch. kept: (n, k) int64,
    the only patches that are seen at all.
    """
    patch = vit.patch_embed.patch_size[0]
    rows, columns = images.shape[-2] // patch, images.shape[-1] // patch
    x = vit.patch_embed.norm(vit.patch_embed.proj(images).flatten(2).transpose(1, 2))
    if masked is not None:
        assert mask_token is not None
        x = torch.where(masked.unsqueeze(-1), mask_token.to(x.dtype), x)
    x, prefix = _placed(vit, x, rows, columns, antialias)
    if kept is not None:
        x = x.gather(1, kept.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
    x = vit.norm_pre(vit.pos_drop(torch.cat([*prefix, x], dim=1)))
    for block, rope in zip(vit.blocks, _rotations(vit, rows, columns), strict=True):
        step = block if rope is None else partial(block, rope=rope)
        again = checkpointing and torch.is_grad_enabled()
        x = checkpoint(step, x, use_reentrant=False) if again else step(x)
    normed: Tensor = vit.norm(x)
    return normed


def vit_pooled(vit: Any, x: Tensor) -> Tensor:
    """(n, c) of a sequence: the pooling head's, else the class token, else the mean of the patches."""
    if vit.attn_pool is not None:
        pooled: Tensor = vit.attn_pool(x)
        return pooled
    return x[:, 0] if vit.cls_token is not None else x[:, vit.num_prefix_tokens :].mean(1)


def _placed(vit: Any, x: Tensor, rows: int, columns: int, antialias: bool) -> tuple[Tensor, list[Tensor]]:
    """Patches with their positions, and the prefix tokens, which may have positions of their own."""
    prefix = [token.expand(len(x), -1, -1) for token in (vit.cls_token, vit.reg_token) if token is not None]
    position = vit.pos_embed
    if position is None:
        return x, prefix
    first = 0 if vit.no_embed_class else vit.num_prefix_tokens
    x = x + resampled(position[:, first:], rows, columns, Resampling(antialias=antialias))
    if first:
        prefix = [torch.cat(prefix, dim=1) + position[:, :first]]
    return x, prefix


def _rotations(vit: Any, rows: int, columns: int) -> Sequence[Tensor | None]:
    """Each block's rotary embedding, None without."""
    blocks = len(vit.blocks)
    rope = getattr(vit, "rope", None)
    if rope is None:
        return [None] * blocks
    embedded = rope.get_embed(shape=[rows, columns])
    return [embedded[i] for i in range(blocks)] if vit.rope_mixed else [embedded] * blocks
