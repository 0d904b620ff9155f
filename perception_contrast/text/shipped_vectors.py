"""Vectors of texts that come with the package: a start with its vocabularies needs no text tower."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import ModelError
from perception_contrast.core.file_writing import writing
from perception_contrast.text.base import TextEncoder

SHIPPED_FILE = Path(__file__).parents[1] / "models" / "data" / "text_vectors.safetensors"
_VECTORS = "vectors"


@dataclass(frozen=True)
class ShippedVectors:
    """Vectors of one space and wording.

    Attributes:
        space, wording: as of the encoder that made them; they hold for no other.
        texts: n canonical forms.
        vectors: (n, dim) float32, unit rows.
    """

    space: str
    wording: str
    texts: tuple[str, ...]
    vectors: FloatArray


class ShippedTextEncoder(TextEncoder):
    """A text encoder that looks into shipped vectors first. Those of another space or wording are left out.

    Args:
        encoder: Encodes all other texts.
        shipped: The vectors.
    """

    def __init__(self, encoder: TextEncoder, shipped: ShippedVectors) -> None:
        self._encoder = encoder
        self.model, self.space, self.dim = encoder.model, encoder.space, encoder.dim
        self.wording, self.sentences_per_text = encoder.wording, encoder.sentences_per_text
        fits = (shipped.space, shipped.wording) == (self.space, self.wording)
        self._rows = {text: row for row, text in enumerate(shipped.texts)} if fits else {}
        self._vectors = shipped.vectors

    def canonical(self, text: str) -> str:
        """The wrapped encoder's."""
        return self._encoder.canonical(text)

    def unknown(self, texts: Sequence[str]) -> tuple[str, ...]:
        """As ``TextEncoder.unknown``."""
        return self._encoder.unknown([text for text in texts if self.canonical(text) not in self._rows])

    def with_templates(self, templates: tuple[str, ...]) -> TextEncoder:
        """The wrapped encoder with other templates, of which nothing is shipped. Raises ModelError."""
        return self._encoder.with_templates(templates)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """(n, dim) float32, unit rows."""
        forms = [self.canonical(text) for text in texts]
        vectors = np.zeros((len(forms), self.dim), np.float32)
        missing = [place for place, form in enumerate(forms) if form not in self._rows]
        if missing:
            vectors[missing] = self._encoder.encode([forms[place] for place in missing])
        for place, form in enumerate(forms):
            if form in self._rows:
                vectors[place] = self._vectors[self._rows[form]]
        return vectors


def write_shipped_vectors(path: Path, encoder: TextEncoder, texts: Sequence[str]) -> ShippedVectors:
    """Encodes texts and writes them with what they hold for. Raises StorageError."""
    from safetensors.numpy import save_file

    forms = tuple(sorted({encoder.canonical(text) for text in texts}))
    vectors = encoder.encode(forms)
    facts = {"space": encoder.space, "wording": encoder.wording, "texts": json.dumps(forms)}
    with writing(path) as part:
        save_file({_VECTORS: vectors}, str(part), facts)
    return ShippedVectors(encoder.space, encoder.wording, forms, vectors)


def read_shipped_vectors(path: Path = SHIPPED_FILE) -> ShippedVectors:
    """Reads a file of ``write_shipped_vectors``.

    Raises:
        ModelError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            facts, vectors = file.metadata() or {}, file.get_tensor(_VECTORS)
        texts = tuple(json.loads(facts["texts"]))
        if vectors.dtype != np.float32 or vectors.ndim != 2 or len(texts) != len(vectors):
            raise ValueError(f"{len(texts)} texts and vectors of {vectors.dtype} {vectors.shape}")
        return ShippedVectors(facts["space"], facts["wording"], texts, vectors)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"vectors of texts '{path}' cannot be read ({error}); install the package again"
        ) from error
