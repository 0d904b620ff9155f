"""Sentence embeddings that are computed once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import writing
from perception_contrast.text.base import TextEncoder
from perception_contrast_training.household.precision import encoding_precision


class SentenceBank:
    """Looks sentences up in memory; encodes those that are new, together, by ``tower``.

    In half precision a sentence's vector depends in its last bits on those that it was encoded with, so a run
    that is to resume exactly stores its bank beside its checkpoints.
    """

    def __init__(self, tower: TextEncoder) -> None:
        self.tower = tower
        self._rows: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def vectors(self, sentences: Sequence[str]) -> Tensor:
        """(n, c) float32 unit rows."""
        missing = [s for s in dict.fromkeys(sentences) if s not in self._rows]
        if missing:
            with encoding_precision():
                rows = self.tower.encode(missing)
            self._rows.update(zip(missing, rows, strict=True))
        return torch.from_numpy(np.stack([self._rows[s] for s in sentences]).astype(np.float32))

    def save(self, path: Path) -> None:
        """Writes all sentences and their vectors; the file is there whole or not at all."""
        from safetensors.numpy import save_file

        texts = np.frombuffer("\n".join(self._rows).encode(), np.uint8)
        with writing(path) as part:
            save_file({"vectors": np.stack(list(self._rows.values())), "texts": texts}, str(part))

    def restore(self, path: Path) -> None:
        """Takes in what was saved.

        Raises:
            PerceptionError: The file is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            stored = load_file(path)
            texts = stored["texts"].tobytes().decode().split("\n")
            self._rows.update(zip(texts, stored["vectors"], strict=True))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise PerceptionError(
                f"the sentences of the run, '{path}', cannot be read ({error}); delete the checkpoints "
                "beside it to fit from the first step"
            ) from error
