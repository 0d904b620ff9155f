"""The text cache: vectors on disk, so that a phrase is encoded once for each space."""

from __future__ import annotations

import hashlib
import io
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.cache import atomic_write
from perception_contrast.text.base import TextEncoder

# Sentences that are encoded before their vectors are written: what an interruption loses at most.
SENTENCES_PER_STEP = 512
# Files in each of a space's 256 folders; beyond them the oldest makes room.
FILES_PER_FOLDER = 128
# Vectors that are kept in memory where the disk takes none.
MOST_UNWRITTEN = 4096
_SECONDS_BETWEEN_LINES = 10.0

logger = logging.getLogger(__name__)


class CachedTextEncoder(TextEncoder):
    """A text encoder that keeps its vectors in ``directory``, a file per phrase; processes may share it.

    The file's name is a hash of all that the vector depends on (space, wording, canonical phrase), so
    an entry cannot go stale. A damaged file is written again. Vectors are written as they are made: what
    is interrupted goes on where it was.
    """

    def __init__(self, encoder: TextEncoder, directory: Path) -> None:
        self._encoder, self.directory = encoder, directory
        self.model, self.space, self.dim = encoder.model, encoder.space, encoder.dim
        self.wording, self.sentences_per_text = encoder.wording, encoder.sentences_per_text
        # Of a folder that cannot be written to.
        self._unwritten: dict[Path, FloatArray] = {}

    def canonical(self, text: str) -> str:
        """The wrapped encoder's."""
        return self._encoder.canonical(text)

    def with_templates(self, templates: tuple[str, ...]) -> CachedTextEncoder:
        """The wrapped encoder with other templates, cached in the same folder. Raises ModelError."""
        return CachedTextEncoder(self._encoder.with_templates(templates), self.directory)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """(n, dim) float32, unit rows."""
        forms = [self.canonical(text) for text in texts]
        if not forms:
            return np.zeros((0, self.dim), np.float32)
        known: dict[str, FloatArray] = {}
        for form in dict.fromkeys(forms):
            vector = self._read(self._path(form))
            if vector is not None:
                known[form] = vector
        known |= self._encoded([form for form in dict.fromkeys(forms) if form not in known])
        return np.stack([known[form] for form in forms])

    def unknown(self, texts: Sequence[str]) -> tuple[str, ...]:
        """As ``TextEncoder.unknown``: those without a file."""
        paths = ((text, self._path(self.canonical(text))) for text in texts)
        return tuple(text for text, path in paths if path not in self._unwritten and not path.is_file())

    def _encoded(self, forms: Sequence[str]) -> Iterator[tuple[str, FloatArray]]:
        """Each form with its vector, which is on disk by then."""
        step = max(SENTENCES_PER_STEP // self.sentences_per_text, 1)
        told = time.monotonic()
        for start in range(0, len(forms), step):
            chosen = forms[start : start + step]
            for form, vector in zip(chosen, self._encoder.encode(chosen), strict=True):
                self._keep(self._path(form), vector)
                yield form, vector
            done = start + len(chosen)
            if done < len(forms) and time.monotonic() - told >= _SECONDS_BETWEEN_LINES:
                told = time.monotonic()
                logger.info("%s: %d of %d new texts are encoded", self.model, done, len(forms))

    def _path(self, form: str) -> Path:
        key = hashlib.sha256("\0".join((self.space, self.wording, form)).encode()).hexdigest()
        return self.directory / self.space.replace("/", "_") / key[:2] / f"{key}.npy"

    def _read(self, path: Path) -> FloatArray | None:
        if path in self._unwritten:
            return self._unwritten[path]
        try:
            vector = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if vector.shape != (self.dim,) or vector.dtype != np.float32:
            return None
        # A unit vector that is damaged has another norm, almost surely.
        return vector if abs(float(vector @ vector) - 1.0) < 1e-3 else None

    def _keep(self, path: Path, vector: FloatArray) -> None:
        """Writes a vector; where it cannot be written it is kept until this process ends."""
        buffer = io.BytesIO()
        np.save(buffer, vector.astype(np.float32), allow_pickle=False)
        try:
            atomic_write(path, buffer.getvalue())
            _make_room(path.parent)
        except OSError as error:
            if not self._unwritten:
                logger.warning(
                    "vectors of texts are not kept, so each start encodes them anew: '%s' cannot be written "
                    "(%s); choose another folder with PERCEPTION_CONTRAST_CACHE",
                    path,
                    error.strerror,
                )
            if len(self._unwritten) < MOST_UNWRITTEN:
                self._unwritten[path] = vector


def _make_room(folder: Path) -> None:
    """Deletes the files of a folder that were written first, where there are too many."""
    files = list(folder.glob("*.npy"))
    if len(files) <= FILES_PER_FOLDER:
        return
    written: list[tuple[int, Path]] = []
    for file in files:
        try:
            written.append((file.stat().st_mtime_ns, file))
        except FileNotFoundError:  # another process made room
            continue
    for _, file in sorted(written)[:-FILES_PER_FOLDER]:
        file.unlink(missing_ok=True)
