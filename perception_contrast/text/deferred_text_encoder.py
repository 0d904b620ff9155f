"""A text encoder that is made when the first phrase comes, for phrases that a cache mostly has."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from perception_contrast.text.base import TextEncoder


class DeferredTextEncoder(TextEncoder):
    """Says at once what its vectors are, and makes the encoder behind it when one is asked for.

    Args:
        make: Gives the encoder; called once at most.
        model, space, dim, wording: Of that encoder.
        canonical: Its ``canonical``.
    """

    def __init__(
        self,
        make: Callable[[], TextEncoder],
        *,
        model: str,
        space: str,
        dim: int,
        wording: str,
        canonical: Callable[[str], str],
    ) -> None:
        self.model, self.space, self.dim, self.wording = model, space, dim, wording
        self._make, self._canonical = make, canonical
        self._made: TextEncoder | None = None
        self._lock = threading.Lock()

    @property
    def is_made(self) -> bool:
        """Whether the encoder is there already."""
        return self._made is not None

    def canonical(self, text: str) -> str:
        """As ``TextEncoder.canonical``; makes nothing."""
        return self._canonical(text)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32, unit rows. Raises what making the encoder raises."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return self._made.encode(texts)
