"""BERT in plain torch (Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2018)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional


class _Attention(nn.Module):
    """Multi-head self-attention, residual and norm after it, as in BERT."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.norm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        def split(y: Tensor) -> Tensor:
            return y.view(*y.shape[:2], self.heads, -1).transpose(1, 2)

        query, key, value = split(self.query(x)), split(self.key(x)), split(self.value(x))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return _tensor(self.norm(x + self.output(mixed.transpose(1, 2).flatten(2))))


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = _Attention(width, heads)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.attention(x, mask)
        return _tensor(self.norm(x + self.contract(functional.gelu(self.expand(x)))))


class Bert(nn.Module):
    """BERT encoder (Devlin et al., 2018), layer norm after each residual, no pooler."""

    def __init__(self, *, vocabulary: int, width: int, heads: int, depth: int, positions: int = 512) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.types = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(depth))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """ids, mask: (B, T) integer and bool. Gives (B, T, width)."""
        x = self.words(ids) + self.positions.weight[: ids.shape[1]] + self.types.weight[0]
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x, mask[:, None, None, :])
        return _tensor(x)


_BERT_NAMES = (
    ("embeddings.word_embeddings", "words"),
    ("embeddings.position_embeddings", "positions"),
    ("embeddings.token_type_embeddings", "types"),
    ("embeddings.LayerNorm", "norm"),
    ("encoder.layer.", "layers."),
    ("attention.output.dense", "attention.output"),
    ("attention.output.LayerNorm", "attention.norm"),
    ("attention.self.", "attention."),
    ("intermediate.dense", "expand"),
    ("output.dense", "contract"),
    ("output.LayerNorm", "norm"),
)


def bert_from_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A transformers BertModel's tensors under the names of ``Bert``; pooler and position ids left out."""
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith("pooler.") or name == "embeddings.position_ids":
            continue
        for old, new in _BERT_NAMES:
            name = name.replace(old, new)
        renamed[name] = value
    return renamed


def _tensor(value: Any) -> Tensor:
    """nn.Module calls are untyped; says that this one gives a tensor."""
    assert isinstance(value, Tensor)
    return value
