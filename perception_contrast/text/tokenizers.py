"""Tokenizers of the text encoders, and the canonical form of a text that each expects."""

from __future__ import annotations

import json
import string
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from perception_contrast.core.errors import ModelError
from perception_contrast.text.sentencepiece_model import bpe_tokenizer
from perception_contrast.text.tips_transformer import PADDING
from perception_contrast.text.tips_transformer import TOKENS as TIPS_TOKENS

SIGLIP_TOKENS, XLM_TOKENS = 64, 77

Tokenizer = Callable[[Sequence[str]], Tensor]


class FileTokenizer:
    """A tokenizer of a tokenizer.json: texts to ids that are padded to a fixed length.

    Args:
        path: tokenizer.json; tokenizer_config.json lies beside it.
        length: ids per text.
        start: whether a start token comes first.

    Raises:
        ModelError: a file cannot be read or lacks its padding, end or start token.
    """

    def __init__(self, path: Path, length: int, *, start: bool = False) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(path))
            settings = json.loads(path.with_name("tokenizer_config.json").read_text("utf-8"))
        except Exception as error:  # the tokenizers library raises bare Exception
            raise ModelError(f"tokenizer {path} cannot be read ({error}); delete or replace it") from error
        self.length = length
        self._pad = self._id(settings, "pad_token", path)
        self._end = self._id(settings, "eos_token", path)
        self._start = [self._id(settings, "bos_token", path)] if start else []
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def _id(self, settings: dict[str, Any], name: str, path: Path) -> int:
        token = settings.get(name)
        text = token.get("content") if isinstance(token, dict) else token
        number = self._tokenizer.token_to_id(text) if text else None
        if number is None:
            raise ModelError(f"tokenizer {path} has no {name}; replace it with the model's own")
        return int(number)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """(n, length) int64. The end token always stays, also when a text is too long."""
        rows = []
        for encoded in self._tokenizer.encode_batch(list(texts), add_special_tokens=False):
            ids = [*[*self._start, *encoded.ids][: self.length - 1], self._end]
            rows.append(ids + [self._pad] * (self.length - len(ids)))
        return torch.tensor(rows)


class SiglipTokenizer(FileTokenizer):
    """SigLIP's tokenizer, without a start token."""

    def __init__(self, path: Path, length: int = SIGLIP_TOKENS) -> None:
        super().__init__(path, length)


class XlmTokenizer(FileTokenizer):
    """XLM-V's tokenizer, of MetaCLIP 2, with a start token."""

    def __init__(self, path: Path, length: int = XLM_TOKENS) -> None:
        super().__init__(path, length, start=True)


class TipsTokenizer:
    """TIPSv2's tokenizer: texts to ids that are padded with 0 to a fixed length, without start or end.

    Args:
        path: tokenizer.model, a SentencePiece model.
        length: ids per text.

    Raises:
        ModelError: the file cannot be read.
    """

    def __init__(self, path: Path, length: int = TIPS_TOKENS) -> None:
        self._tokenizer, self.length = bpe_tokenizer(path, lower_case=True), length

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """(n, length) int64; a text that is too long is cut."""
        rows = (encoded.ids[: self.length] for encoded in self._tokenizer.encode_batch(list(texts)))
        return torch.tensor([ids + [PADDING] * (self.length - len(ids)) for ids in rows])


def canonical_cased_text(text: str) -> str:
    """Single spaces and marks combined with their letters (NFC), for tokenizers that tell cases apart."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def canonical_clip_text(text: str) -> str:
    """Lower case, single spaces, marks combined with their letters (NFC), as CLIP's tokenizer has them."""
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def canonical_siglip_text(text: str) -> str:
    """As SigLIP's training texts: lower case, no ASCII punctuation, single spaces."""
    bare = text.replace("_", " ").translate(str.maketrans("", "", string.punctuation))
    return canonical_clip_text(bare) or canonical_clip_text(text)
