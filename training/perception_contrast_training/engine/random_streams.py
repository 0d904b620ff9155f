"""Random numbers that continue from step to step, so that a resumed run draws what would have come next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomState:
    """torch: state of PyTorch's CPU generator, uint8. numpy: ``BitGenerator.state`` by name, for JSON."""

    torch: Tensor
    numpy: Mapping[str, Any]


class RandomStreams:
    """PyTorch's CPU generator and named NumPy generators, whose states belong to a checkpoint.

    A trainer without streams seeds PyTorch anew for each batch instead, from the run's seed and the
    batch's number.
    """

    def __init__(self, **generators: np.random.Generator) -> None:
        self._generators = generators

    def state(self) -> RandomState:
        """The states now."""
        numpy = {name: dict(one.bit_generator.state) for name, one in self._generators.items()}
        return RandomState(torch.get_rng_state(), numpy)

    def restore(self, state: RandomState) -> None:
        """Goes on from there. Raises KeyError for a generator that ``state`` does not know."""
        for name, generator in self._generators.items():
            generator.bit_generator.state = dict(state.numpy[name])
        torch.set_rng_state(state.torch)
