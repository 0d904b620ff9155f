"""Random numbers that continue from step to step, so that a resumed run draws what would have come next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    """A stream of PyTorch's random numbers and named NumPy generators, whose states belong to a checkpoint.

    The stream begins where PyTorch's CPU generator stands when this is made, and nothing that draws outside
    of ``drawing`` moves it. A trainer without streams seeds PyTorch anew for each batch instead, from
    the run's seed and the batch's number.
    """

    def __init__(self, **generators: np.random.Generator) -> None:
        self._generators = generators
        self._torch = torch.get_rng_state()

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Within the context PyTorch's CPU generator goes on with the stream."""
        torch.set_rng_state(self._torch)
        try:
            yield
        finally:
            self._torch = torch.get_rng_state()

    def state(self) -> RandomState:
        """The states now."""
        numpy = {name: dict(one.bit_generator.state) for name, one in self._generators.items()}
        return RandomState(self._torch.clone(), numpy)

    def restore(self, state: RandomState) -> None:
        """Goes on from there. Raises KeyError for a generator that ``state`` does not know."""
        for name, generator in self._generators.items():
            generator.bit_generator.state = dict(state.numpy[name])
        self._torch = state.torch
