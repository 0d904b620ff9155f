"""The text cache: vectors on disk, so that a phrase is encoded once for each space."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.cache import atomic_write
from perception_contrast.text.base import TextEncoder


class CachedTextEncoder(TextEncoder):
    """A text encoder that keeps its vectors in ``directory``, a file per phrase; processes may share it.

    The file's name is a hash of all that the vector depends on (space, wording, canonical phrase), so
    an entry cannot go stale. A damaged file is written again.
    """

    def __init__(self, encoder: TextEncoder, directory: Path) -> None:
        self._encoder, self.directory = encoder, directory
        self.model, self.space, self.dim = encoder.model, encoder.space, encoder.dim
        self.wording = encoder.wording

    def canonical(self, text: str) -> str:
        """The wrapped encoder's."""
        return self._encoder.canonical(text)

    def with_templates(self, templates: tuple[str, ...]) -> CachedTextEncoder:
        """The wrapped encoder with other templates, cached in the same folder. Raises ModelError."""
        return CachedTextEncoder(self._encoder.with_templates(templates), self.directory)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """(n, dim) float32, unit rows."""
        forms = [self.canonical(text) for text in texts]
        known: dict[str, FloatArray] = {}
        for form in dict.fromkeys(forms):
            vector = self._read(self._path(form))
            if vector is not None:
                known[form] = vector
        missing = [form for form in dict.fromkeys(forms) if form not in known]
        if missing:
            for form, vector in zip(missing, self._encoder.encode(missing), strict=True):
                known[form] = vector
                self._write(self._path(form), vector)
        return np.stack([known[form] for form in forms]) if forms else np.zeros((0, self.dim), np.float32)

    def _path(self, form: str) -> Path:
        key = hashlib.sha256("\0".join((self.space, self.wording, form)).encode()).hexdigest()
        return self.directory / self.space.replace("/", "_") / key[:2] / f"{key}.npy"

    def _read(self, path: Path) -> FloatArray | None:
        try:
            vector = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if vector.shape != (self.dim,) or vector.dtype != np.float32:
            return None
        # A unit vector that is damaged has another norm, almost surely.
        return vector if abs(float(vector @ vector) - 1.0) < 1e-3 else None

    def _write(self, path: Path, vector: FloatArray) -> None:
        buffer = io.BytesIO()
        np.save(buffer, vector.astype(np.float32), allow_pickle=False)
        atomic_write(path, buffer.getvalue())
