"""Text towers beside a backbone: a transformer that learns, sentence vectors that stay, a model's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from perception_contrast.core.errors import RecipeError
from perception_contrast.text.base import TextEncoder
from perception_contrast.text.sentence_encoder import load_minilm
from perception_contrast.text.text_networks import clip_text_transformer, sentence_projection
from perception_contrast.text.text_tower_kind import TextTowerKind, text_tower_kind
from perception_contrast.text.tokenizers import canonical_clip_text

Texts = Sequence[str] | Tensor
REMEMBERED = 100_000


@dataclass(frozen=True)
class TextSettings:
    """tower: "transformer" learns from scratch with CLIP's words; "minilm" gives the sentence vectors of
    minilm-l6, which stay as they are, and learns a small head on them; "own" is the one that the backbone's
    model has; any other name is of a tower that an installed package registers. width, depth, heads: of the
    network. context: words that are read at most. hidden: of the head, 0 for a linear one. frozen: nothing of
    the model's own one learns."""

    tower: str = "transformer"
    width: int = 512
    depth: int = 12
    heads: int = 8
    context: int = 77
    hidden: int = 0
    checkpointing: bool = False
    frozen: bool = False


class TextNetwork(Protocol):
    """Texts to (n, dim), not normalised. An ``nn.Module``."""

    def __call__(self, texts: Texts) -> Tensor: ...


class WordTransformer(nn.Module):
    """CLIP's text tower (Radford et al. 2021) by open_clip, with its initialisation, in any size."""

    def __init__(self, settings: TextSettings, dim: int) -> None:
        super().__init__()
        from open_clip import SimpleTokenizer

        self.network: Any = clip_text_transformer(
            settings.width, settings.depth, settings.heads, settings.context, dim
        )
        self.network.set_grad_checkpointing(settings.checkpointing)
        self._context = settings.context
        self._tokenizer: Any = SimpleTokenizer(context_length=settings.context)

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """(n, context) int64, 0 behind the end; texts that are too long are cut."""
        ids: Tensor = self._tokenizer(
            [canonical_clip_text(text) for text in texts], context_length=self._context
        )
        return ids

    def forward(self, texts: Texts) -> Tensor:
        """texts: strings, or what ``tokens`` made of them."""
        ids = texts if isinstance(texts, Tensor) else self.tokens(texts)
        vectors: Tensor = self.network(ids.to(self.network.positional_embedding.device))
        return vectors


class SentenceHead(nn.Module):
    """A head that learns on sentence vectors that stay (n, width); each text is encoded once."""

    def __init__(self, sentences: TextEncoder, dim: int, hidden: int = 0) -> None:
        super().__init__()
        self._sentences, self._known = sentences, dict[str, Tensor]()
        self.head = sentence_projection(sentences.dim, dim, hidden)

    @property
    def space(self) -> str:
        """Of the sentence vectors."""
        return self._sentences.space

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """(n, width) float32, unit rows."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            if len(self._known) + len(new) > REMEMBERED:
                self._known.clear()
                new = list(dict.fromkeys(texts))
            encoded = torch.from_numpy(self._sentences.encode(new))
            self._known.update(zip(new, encoded, strict=True))
        return torch.stack([self._known[text] for text in texts])

    def forward(self, texts: Texts) -> Tensor:
        """texts: strings, or what ``vectors`` made of them."""
        rows = texts if isinstance(texts, Tensor) else self.vectors(texts)
        result: Tensor = self.head(rows.to(next(self.head.parameters()).device))
        return result


class OthersTower(nn.Module):
    """The text tower of another package, learned from its start."""

    def __init__(self, kind: TextTowerKind, settings: TextSettings, dim: int) -> None:
        super().__init__()
        self._kind, self._context = kind, settings.context
        self.network = kind.make(settings, dim)

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """(n, context) int64."""
        return self._kind.tokenize([self._kind.canonical(text) for text in texts], self._context)

    def forward(self, texts: Texts) -> Tensor:
        """texts: strings, or what ``tokens`` made of them."""
        ids = texts if isinstance(texts, Tensor) else self.tokens(texts)
        vectors: Tensor = self.network(ids.to(next(self.network.parameters()).device))
        return vectors


def make_text(settings: TextSettings, dim: int) -> WordTransformer | SentenceHead | OthersTower:
    """Raises ModelError where sentence vectors' weights cannot be had, RecipeError for an unknown tower."""
    if settings.tower not in ("transformer", "minilm"):
        return OthersTower(text_tower_kind(settings.tower, RecipeError), settings, dim)
    if settings.tower == "minilm":
        return SentenceHead(load_minilm(), dim, settings.hidden)
    return WordTransformer(settings, dim)
