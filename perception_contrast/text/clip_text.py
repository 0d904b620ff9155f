"""The text side of a CLIP or SigLIP tower, with an ensemble of sentences per phrase."""

from __future__ import annotations

import hashlib
import json
import string
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from perception_contrast.core.errors import ModelError
from perception_contrast.text.templates import ROBOT_CAMERA, checked_templates, sentences

BATCH = 256
SIGLIP_TOKENS = 64

Tokenizer = Callable[[Sequence[str]], Tensor]


class ClipLike(Protocol):
    """What is needed of a tower of both images and texts."""

    model: str
    space: str
    dim: int
    spec: Any
    tokenizer_file: Path | None

    def text_embedding(self, tokens: Tensor) -> Tensor: ...

    def parameters(self) -> Any: ...


class SiglipTokenizer:
    """SigLIP's words to ids: lower case without punctuation, padded to a fixed length."""

    def __init__(self, path: Path, length: int = SIGLIP_TOKENS) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(path))
            settings = json.loads(path.with_name("tokenizer_config.json").read_text("utf-8"))
        except Exception as error:  # the tokenizers library raises bare Exception
            raise ModelError(f"tokenizer {path} cannot be read ({error}); delete or replace it") from error
        self.length = length
        self._pad = self._id(settings, "pad_token", path)
        self._end = self._id(settings, "eos_token", path)
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
            ids = [*encoded.ids[: self.length - 1], self._end]
            rows.append(ids + [self._pad] * (self.length - len(ids)))
        return torch.tensor(rows)


def lower(text: str) -> str:
    """Lower case, single spaces, marks combined with their letters (NFC), as CLIP's tokenizer has them."""
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def lower_without_punctuation(text: str) -> str:
    """As SigLIP's training texts: lower case, no ASCII punctuation, single spaces."""
    bare = text.replace("_", " ").translate(str.maketrans("", "", string.punctuation))
    return lower(bare) or lower(text)


class ClipTextTower:
    """Phrases to the mean of their sentences' vectors: unit, averaged, unit again.

    model, space: the tower's. wording: identifies the templates. Raises ModelError for templates
    without a place for the phrase.
    """

    def __init__(self, tower: ClipLike, templates: tuple[str, ...] = ROBOT_CAMERA) -> None:
        self._tower, self.templates = tower, checked_templates(templates)
        self.model, self.space, self.dim = tower.model, tower.space, tower.dim
        self.wording = hashlib.sha256("\n".join(templates).encode()).hexdigest()[:12]
        reading = reading_of(tower)
        self.canonical: Callable[[str], str] = reading.canonical
        self._tokenize = reading.tokenize

    def with_templates(self, templates: tuple[str, ...]) -> ClipTextTower:
        """The same tower with other sentences around a phrase."""
        return ClipTextTower(self._tower, templates)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, unit rows."""
        prompts = [self.canonical(s) for t in texts for s in sentences(self.canonical(t), self.templates)]
        if not prompts:
            return np.zeros((0, self.dim), np.float32)
        device = next(self._tower.parameters()).device
        with torch.inference_mode():
            parts = [
                self._tower.text_embedding(self._tokenize(prompts[i : i + BATCH]).to(device)).float()
                for i in range(0, len(prompts), BATCH)
            ]
            mean = torch.cat(parts).reshape(len(texts), len(self.templates), -1).mean(1)
            vectors: NDArray[np.float32] = functional.normalize(mean, dim=-1).cpu().numpy()
        return vectors


@dataclass(frozen=True)
class Reading:
    """How a tower takes texts. canonical: the form that it was trained with. tokenize: of such forms, what
    the tower's ``text_embedding`` takes."""

    canonical: Callable[[str], str]
    tokenize: Tokenizer


def reading_of(tower: ClipLike) -> Reading:
    """Raises ModelError for a tower whose tokenizer is not there."""
    sentences = getattr(tower, "sentences", None)
    if sentences is not None:
        return Reading(sentences.canonical, lambda texts: torch.from_numpy(sentences.encode(texts)))
    if tower.spec.family != "siglip":
        import open_clip

        return Reading(lower, open_clip.SimpleTokenizer())
    if tower.tokenizer_file is None:
        raise ModelError(
            f"'{tower.model}' lacks its words: put tokenizer.json and tokenizer_config.json beside it"
        )
    return Reading(lower_without_punctuation, SiglipTokenizer(tower.tokenizer_file))
