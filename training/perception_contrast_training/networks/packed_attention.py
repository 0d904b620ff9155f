"""open_clip's packed attention as two linear layers, so that low-rank additions find something to add to."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional


class PlainAttention(nn.Module):
    """``nn.MultiheadAttention`` of one width, batch first, without dropout; same weights, same values.

    qkv, proj: named as timm names them.
    """

    def __init__(self, packed: nn.MultiheadAttention) -> None:
        super().__init__()
        width, self.num_heads = packed.embed_dim, packed.num_heads
        assert packed.in_proj_weight is not None and packed.in_proj_bias is not None
        self.qkv, self.proj = nn.Linear(width, 3 * width), packed.out_proj
        self.qkv.weight, self.qkv.bias = packed.in_proj_weight, packed.in_proj_bias

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, *, need_weights: bool, attn_mask: Tensor | None
    ) -> tuple[Tensor, None]:
        """query (B, n, width), which is key and value too.

        attn_mask: (n, n), or (B * heads, n, n) for each text its own, added to the scores.
        """
        assert query is key is value and not need_weights
        batch, count, width = query.shape
        q, k, v = self.qkv(query).reshape(batch, count, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        mask = None if attn_mask is None else attn_mask.to(q.dtype)
        if mask is not None and mask.ndim == 3:
            mask = mask.reshape(batch, self.num_heads, count, count)
        gathered = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(gathered.transpose(1, 2).reshape(batch, count, width)), None


def unpack(network: nn.Module) -> None:
    """Turns every packed self-attention of ``network`` into a ``PlainAttention``, in place."""
    for name, child in network.named_children():
        if type(child) is nn.MultiheadAttention and child.batch_first and child.in_proj_weight is not None:
            setattr(network, name, PlainAttention(child))
        else:
            unpack(child)


def pack(network: nn.Module) -> None:
    """Undoes ``unpack``, in place."""
    for name, child in network.named_children():
        if isinstance(child, PlainAttention):
            packed = nn.MultiheadAttention(child.qkv.in_features, child.num_heads, batch_first=True)
            packed.in_proj_weight = cast(nn.Parameter, child.qkv.weight)
            packed.in_proj_bias = child.qkv.bias
            packed.out_proj = child.proj
            setattr(network, name, packed)
        else:
            pack(child)
