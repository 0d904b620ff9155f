"""The text encoder of a CLIP or SigLIP: the mean over prompt templates of a phrase's vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from perception_contrast.core.errors import ModelError
from perception_contrast.models.model_libraries import import_open_clip
from perception_contrast.text.base import TextEncoder
from perception_contrast.text.length_batches import encode_by_length
from perception_contrast.text.prompt_templates import ROBOT_CAMERA, checked_templates, prompts
from perception_contrast.text.tokenizers import (
    SiglipTokenizer,
    TipsTokenizer,
    Tokenizer,
    XlmTokenizer,
    canonical_cased_text,
    canonical_clip_text,
    canonical_siglip_text,
)

_JSON = ("tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True)
class _Words:
    """A family whose tokenizer lies beside its weights. files: the first is what ``tokenizer`` reads."""

    files: tuple[str, ...]
    canonical: Callable[[str], str]
    tokenizer: Callable[[Path], Tokenizer]


# CLIP's vocabulary, which all other families have, comes with open_clip.
_WORDS = {
    "siglip": _Words(_JSON, canonical_siglip_text, SiglipTokenizer),
    "metaclip2": _Words(_JSON, canonical_cased_text, XlmTokenizer),
    "radio-words": _Words(_JSON, canonical_siglip_text, SiglipTokenizer),
    "tips": _Words(("tokenizer.model",), canonical_clip_text, TipsTokenizer),
}


class ClipLike(Protocol):
    """What this module needs of an image-text model.

    sentences: the encoder that reads texts first, None where ``text_embedding`` takes token ids.
    tokens_read: how many of its ids (n, T) each text's vector depends on, (n,); the rest may be cut off.
    """

    model: str
    space: str
    dim: int
    spec: Any
    tokenizer_file: Path | None
    sentences: TextEncoder | None

    def text_embedding(self, tokens: Tensor) -> Tensor: ...

    def tokens_read(self, tokens: Tensor) -> Tensor: ...

    def parameters(self) -> Any: ...


@dataclass(frozen=True)
class TextPreprocessing:
    """How an image-text model takes texts.

    canonical: a text in the form that the model was trained with. tokenize: canonical texts to what the
    model's ``text_embedding`` takes.
    """

    canonical: Callable[[str], str]
    tokenize: Tokenizer


class ClipTextEncoder(TextEncoder):
    """Phrases to the mean of their prompts' vectors: unit, averaged, unit again (Radford et al., 2021).

    Args:
        tower: the image-text model.
        templates: prompts around each phrase, see ``prompt_templates``.

    Raises:
        ModelError: a template has no place for the phrase, or the model lacks its tokenizer.
    """

    def __init__(self, tower: ClipLike, templates: tuple[str, ...] = ROBOT_CAMERA) -> None:
        self._tower, self.templates = tower, checked_templates(templates)
        self.model, self.space, self.dim = tower.model, tower.space, tower.dim
        self.sentences_per_text = len(self.templates)
        self.wording = hashlib.sha256("\n".join(templates).encode()).hexdigest()[:12]
        self._preprocessing = text_preprocessing(tower)

    def canonical(self, text: str) -> str:
        """The form that the model was trained with."""
        return self._preprocessing.canonical(text)

    def with_templates(self, templates: tuple[str, ...]) -> ClipTextEncoder:
        """As ``TextEncoder.with_templates``."""
        return ClipTextEncoder(self._tower, templates)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, unit rows."""
        canonical = self.canonical
        filled = [canonical(s) for t in texts for s in prompts(canonical(t), self.templates)]
        if not filled:
            return np.zeros((0, self.dim), np.float32)
        device = next(self._tower.parameters()).device
        with torch.inference_mode():
            tokens = self._preprocessing.tokenize(filled)
            encoded = encode_by_length(
                self._tower.tokens_read(tokens).tolist(),
                lambda places, longest: self._tower.text_embedding(
                    tokens[places, :longest].to(device)
                ).float(),
            )
            mean = encoded.reshape(len(texts), len(self.templates), -1).mean(1)
            vectors: NDArray[np.float32] = functional.normalize(mean, dim=-1).cpu().numpy()
        return vectors


def text_preprocessing(tower: ClipLike) -> TextPreprocessing:
    """The canonical form and the tokenizer of an image-text model.

    Raises:
        ModelError: the model's tokenizer files are missing. Damaged ones are told at the first text.
    """
    sentences = tower.sentences
    if sentences is not None:
        return TextPreprocessing(sentences.canonical, lambda texts: torch.from_numpy(sentences.encode(texts)))
    words = _WORDS.get(tower.spec.family)
    if words is None:
        return TextPreprocessing(canonical_clip_text, _AtFirstText(_clip_tokenizer))
    file = tower.tokenizer_file
    if file is None:
        files = " and ".join(words.files)
        raise ModelError(f"'{tower.model}' lacks its words: put {files} beside its weights")
    return TextPreprocessing(words.canonical, _AtFirstText(partial(words.tokenizer, file)))


class _AtFirstText:
    """A tokenizer that is read when the first text comes: one of 256,000 words takes a second."""

    def __init__(self, read: Callable[[], Tokenizer]) -> None:
        self._read = cache(read)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """As ``Tokenizer``. Raises ModelError for a file that cannot be read."""
        return self._read()(texts)


def _clip_tokenizer() -> Tokenizer:
    tokenizer: Tokenizer = import_open_clip().SimpleTokenizer()
    return tokenizer


def tokenizer_beside(weights: Path | None, family: str) -> Path | None:
    """The tokenizer's file beside a model's weights; None where there is none, or none is needed."""
    words = _WORDS.get(family)
    found = weights.with_name(words.files[0]) if weights and words else None
    return found if found and found.is_file() else None
