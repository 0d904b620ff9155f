"""Which images a batch holds: it follows from seed and number alone, so a run can go on at any batch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError


class Order:
    """An endless row of batches. In each pass every image comes at most once; what fills no batch waits.

    count: images there are. batch: images of a batch, of all processes together. Raises
    PerceptionError if not even one batch can be filled.
    """

    def __init__(self, count: int, batch: int, seed: int) -> None:
        if batch < 1 or count < batch:
            raise PerceptionError(
                f"{count} images to learn from do not fill a batch of {batch}; lower optimisation.batch, "
                "or gather more"
            )
        self.count, self.batch, self.seed = count, batch, seed
        self.pass_batches = count // batch

    def batch_at(self, number: int) -> list[tuple[int, int]]:
        """Of batch ``number``, from 0: the index of each image, and its place in the whole row.

        All chance about an image may follow from its place, whichever process sees it.
        """
        turn, within = divmod(number, self.pass_batches)
        chosen = _shuffled(self.count, self.seed, turn)[within * self.batch : (within + 1) * self.batch]
        return [(int(index), number * self.batch + i) for i, index in enumerate(chosen)]

    def share_at(self, number: int, rank: int, processes: int) -> list[tuple[int, int]]:
        """The part of a batch that is this process's: neighbours, so that parts in turn are the batch."""
        size = self.batch // processes
        return self.batch_at(number)[rank * size : (rank + 1) * size]


@lru_cache(maxsize=2)
def _shuffled(count: int, seed: int, turn: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, turn]).permutation(count)
