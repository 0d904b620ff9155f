"""What a learning method is to the loop that runs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

Batch = Mapping[str, Tensor]
"""A batch by name. Views stand in front, (v, n, 3, h, w), where a method takes several of an image.

``views.collated`` makes one of the samples that ``Views`` gives.
"""


@dataclass(frozen=True)
class Progress:
    """Where a run is. step: optimiser steps done; steps: in all; epoch_steps: of one pass."""

    step: int
    steps: int
    epoch_steps: int

    @property
    def share(self) -> float:
        return self.step / self.steps

    @property
    def epoch(self) -> float:
        return self.step / self.epoch_steps


@dataclass(frozen=True)
class Losses:
    """total: () what is differentiated. parts: its terms by name, detached.

    watched: what monitors look at, detached: ``embedding`` (n, c), ``teacher`` (n, k) probabilities,
    ``projection`` (n, c) where the loss compares other vectors than the embedding, and of some images what
    ``monitors.measures.negative_measures`` says of their negatives.
    """

    total: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    watched: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning rate and a weight decay, as factors on the schedules' values.

    clip: whether gradient clipping counts and scales their gradients.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    rate: float = 1.0
    decay: float = 1.0
    clip: bool = True


class Views(Protocol):
    """Makes what a method sees of one image. All chance comes from ``generator``: runs repeat."""

    def __call__(self, image: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """image: (3, h, w) uint8 RGB. Its views, float32, normalised, by name in the batch."""


class PairedViews(Views, Protocol):
    """Views whose second one may come from another frame that shows the same."""

    def __call__(
        self, image: Tensor, generator: torch.Generator, partner: Tensor | None = None
    ) -> dict[str, Tensor]:
        """partner: (3, h, w) uint8 RGB of any size, None for the image itself."""


class Method(Protocol):
    """A learning method: an ``nn.Module`` with all networks and centres: its state is the run's.

    Gradients are averaged over processes, of equal batches: what is gathered has gradients right for that.
    The calls of one step, ``loss`` (once for each part of an accumulated batch), ``before_step`` and
    ``after_step``, get the same ``Progress``.
    """

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        """Loss of this process's batch; what is compared across processes is gathered."""

    def groups(self) -> Iterable[Group]:
        """What the optimiser moves."""

    def before_step(self, progress: Progress) -> None:
        """After the gradients are there, before the optimiser moves: a frozen last layer drops its own."""

    def after_step(self, progress: Progress) -> None:
        """After the optimiser has moved: teachers follow, centres move, temperatures are clamped."""

    def exported(self) -> nn.Module:
        """The backbone that users want: the one that the method's authors evaluate."""


class Contrastive(Method, Protocol):
    """A method whose loss needs only one vector of each view: such a batch may be larger than memory.

    ``loss(batch)`` is ``compare(gathered(embed(batch)))``; gradient caching calls the two apart.
    """

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """Vectors (n, c) by name, and what ``compare`` needs to know of each row, without gradient."""

    def compare(self, embedded: Mapping[str, Tensor]) -> Losses:
        """Loss of the vectors of the whole batch, of all processes."""


@runtime_checkable
class Prepared(Protocol):
    """A method that looks at images before a new run's first step, and keeps what it finds in its state.

    settings: have ``statistics``, how many images it looks at.
    """

    settings: Any

    def prepare(self, batches: Iterable[Batch]) -> None:
        """batches: the whole first ones, the same in every process."""
