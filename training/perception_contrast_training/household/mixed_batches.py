"""Batches of photographs and of rendered scenes in turn."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

import numpy as np

Batch_co = TypeVar("Batch_co", covariant=True)


class BatchSource(Protocol[Batch_co]):
    """rng: all that is drawn comes from it."""

    rng: np.random.Generator

    def draw(self) -> Batch_co:
        """The next batch."""
        ...


class MixedBatchMaker(Generic[Batch_co]):
    """Draws a batch of photographs or one of rendered scenes, by chance."""

    def __init__(
        self, scenes: BatchSource[Batch_co], photographs: BatchSource[Batch_co], share: float
    ) -> None:
        """share: of the batches that are of photographs."""
        self.rng = scenes.rng
        self._scenes, self._photographs, self._share = scenes, photographs, share

    def draw(self) -> Batch_co:
        """The next batch."""
        return (self._photographs if self.rng.random() < self._share else self._scenes).draw()
