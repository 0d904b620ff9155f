"""Sentence embeddings that are computed once and kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from perception_contrast.text.base import TextEncoder


class SentenceBank:
    """Looks sentences up in memory; encodes those that are new, in batches, by ``tower``."""

    def __init__(self, tower: TextEncoder) -> None:
        self.tower = tower
        self._rows: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def vectors(self, sentences: Sequence[str]) -> Tensor:
        """(n, c) float32 unit rows."""
        missing = [s for s in dict.fromkeys(sentences) if s not in self._rows]
        if missing:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                rows = self.tower.encode(missing)
            self._rows.update(zip(missing, rows, strict=True))
        return torch.from_numpy(np.stack([self._rows[s] for s in sentences]).astype(np.float32))
