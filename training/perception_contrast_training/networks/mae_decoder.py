"""MAE's decoder, and how its authors start both halves (He et al., CVPR 2022)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from perception_contrast_training.networks.sin_cos import sin_cos_positions

_norm = partial(nn.LayerNorm, eps=1e-6)


class MaeDecoder(nn.Module):
    """What the encoder saw of an image to the pixels of all its patches.

    grid: (rows, columns) of patches. patch: pixels of a side. prefix: whether the image's own vector
    goes along, as of a class token.
    """

    positions: Tensor

    def __init__(
        self,
        encoder_dim: int,
        grid: tuple[int, int],
        patch: int,
        *,
        width: int = 512,
        depth: int = 8,
        heads: int = 16,
        prefix: bool = True,
    ) -> None:
        super().__init__()
        self.prefix = prefix
        self.embed = nn.Linear(encoder_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.register_buffer("positions", sin_cos_positions(width, *grid), persistent=False)
        self.blocks = nn.ModuleList(
            Block(width, heads, mlp_ratio=4.0, qkv_bias=True, norm_layer=_norm) for _ in range(depth)
        )
        self.norm = _norm(width)
        self.pixels = nn.Linear(width, patch**2 * 3)
        start_as_mae(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, pooled: Tensor, tokens: Tensor, order: Tensor) -> Tensor:
        """pooled (n, c), tokens (n, k, c): of the patches that were seen. order (n, patches): the place
        that each patch has in the row of seen, then hidden ones. Gives (n, patches, patch^2 * 3)."""
        seen = self.embed(tokens)
        hidden = self.mask_token.to(seen.dtype).expand(len(seen), order.shape[1] - seen.shape[1], -1)
        row = torch.cat([seen, hidden], dim=1)
        x = row.gather(1, order.unsqueeze(-1).expand(-1, -1, row.shape[-1])) + self.positions
        if self.prefix:
            x = torch.cat([self.embed(pooled).unsqueeze(1), x], dim=1)
        for block in self.blocks:
            x = block(x)
        pixels: Tensor = self.pixels(self.norm(x))
        return pixels[:, int(self.prefix) :]


def start_as_mae(network: nn.Module) -> None:
    """Linear layers by Xavier's uniform rule with zero biases, norms at one."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def start_vit_as_mae(vit: Any) -> None:
    """As ``start_as_mae``, with fixed sines and cosines as positions; prefix tokens have none."""
    start_as_mae(vit)
    nn.init.xavier_uniform_(vit.patch_embed.proj.weight.view(len(vit.patch_embed.proj.weight), -1))
    for token in (vit.cls_token, vit.reg_token):
        if token is not None:
            nn.init.normal_(token, std=0.02)
    fix_positions(vit)


def fix_positions(vit: Any) -> None:
    if vit.pos_embed is None:
        return
    first = vit.pos_embed.shape[1] - vit.patch_embed.num_patches
    with torch.no_grad():
        vit.pos_embed.zero_()
        vit.pos_embed[0, first:] = sin_cos_positions(vit.pos_embed.shape[2], *vit.patch_embed.grid_size)
    vit.pos_embed.requires_grad_(False)
