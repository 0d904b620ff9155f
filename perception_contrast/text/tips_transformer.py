"""TIPSv2's text tower (Cao et al., "TIPSv2", CVPR 2026; Maninis et al., "TIPS", ICLR 2025)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from perception_contrast.models.model_libraries import import_open_clip

PADDING = 0
TOKENS = 64
VOCABULARY = 32000
_LONGEST_WAVE = 10_000.0


class TipsTextTransformer(nn.Module):
    """A transformer without a causal mask over sinusoidal positions; the mean of its tokens is the text.

    Parameters bear the names of the published files.

    Args:
        width: channels, those of the image tower.
        depth: blocks.
        heads: attention heads.
        hidden: channels between the two layers of a block's MLP.
        vocabulary: token ids.
        context: most tokens of a text.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        *,
        vocabulary: int = VOCABULARY,
        context: int = TOKENS,
    ) -> None:
        super().__init__()
        self.context_length, self.vocab_size, self._heads = context, vocabulary, heads
        self.token_embedding = nn.Embedding(vocabulary, width)
        ratio = (hidden + 0.5) / width  # It rounds the product down.
        make_block = import_open_clip().transformer.ResidualAttentionBlock
        blocks = [
            make_block(width, heads, ratio, act_layer=nn.ReLU, norm_layer=nn.LayerNorm) for _ in range(depth)
        ]
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(blocks)})
        self.ln_final = nn.LayerNorm(width)
        self.register_buffer("_waves", sinusoids(context, width), persistent=False)
        self._waves: Tensor
        self._recomputed = False

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """In training, whether blocks are computed again on the way back instead of kept."""
        self._recomputed = enable

    def tokens_read(self, ids: Tensor) -> Tensor:
        """How many ids (n, T) of each text come before its padding, at least 1: (n,)."""
        return (ids != PADDING).sum(1).clamp(min=1)

    def forward(self, ids: Tensor) -> Tensor:
        """ids (n, T), padded with 0, to the mean (n, width) of the tokens that are no padding."""
        present = ids != PADDING
        present[:, 0] = True  # Of an empty text the first padding stands for it: a mean needs a token.
        x = self.token_embedding(ids) * self.token_embedding.embedding_dim**0.5
        x = x + self._waves[: ids.shape[1]].to(x.dtype)
        hidden = torch.zeros(present.shape, dtype=x.dtype, device=x.device).masked_fill(~present, -torch.inf)
        mask = hidden[:, None, None].expand(-1, self._heads, ids.shape[1], -1).flatten(0, 1)
        again = self._recomputed and torch.is_grad_enabled()
        blocks: Any = self.transformer["resblocks"]
        for block in blocks:
            step = partial(block, attn_mask=mask)
            x = checkpoint(step, x, use_reentrant=False) if again else step(x)
        x = self.ln_final(x) * present[..., None]
        mean: Tensor = x.sum(1) / present.sum(1, keepdim=True)
        return mean


def sinusoids(length: int, width: int) -> Tensor:
    """Position codes (length, width): sines, then cosines, of waves from 1 to 10000 positions / 2 pi.

    The wave lengths form a geometric series that reaches its last one (Vaswani et al. 2017 stop before it).
    """
    count = width // 2
    rate = _LONGEST_WAVE ** (-torch.arange(count, dtype=torch.float64) / max(count - 1, 1))
    angle = torch.arange(length, dtype=torch.float64)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=1).float()
