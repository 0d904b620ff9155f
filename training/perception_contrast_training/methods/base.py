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
    """The position in a run.

    Attributes:
        step: Optimiser steps done.
        steps: Optimiser steps of the whole run.
        epoch_steps: Steps of one pass over the data.
    """

    step: int
    steps: int
    epoch_steps: int

    @property
    def share(self) -> float:
        """Share of the run that is done, in [0, 1]."""
        return self.step / self.steps

    @property
    def epoch(self) -> float:
        """Passes over the data that are done, with a fraction."""
        return self.step / self.epoch_steps


@dataclass(frozen=True)
class Losses:
    """What a method's loss gives.

    Attributes:
        total: () value that is differentiated.
        parts: Terms of the loss by name, detached.
        watched: What monitors look at, detached: ``embedding`` (n, c), ``teacher`` (n, k) probabilities,
            ``projection`` (n, c) if the loss compares other vectors than the embedding, and for some images
            what ``monitors.measures.negative_measures`` says of their negatives.
    """

    total: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    watched: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning rate and a weight decay.

    Attributes:
        name: Name of the group.
        parameters: The parameters.
        rate: Factor on the schedule's learning rate.
        decay: Factor on the schedule's weight decay.
        clip: Whether gradient clipping counts and scales their gradients.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    rate: float = 1.0
    decay: float = 1.0
    clip: bool = True


class Views(Protocol):
    """Makes the views of one image that a method learns from."""

    def __call__(self, image: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Makes the views of one image. All randomness comes from the generator, so runs can be repeated.

        Args:
            image: (3, h, w) uint8 RGB.
            generator: Random numbers.

        Returns:
            The views, float32 and normalised, by their names in the batch.
        """


class PairedViews(Views, Protocol):
    """Views whose second one may come from another frame of the same scene."""

    def __call__(
        self, image: Tensor, generator: torch.Generator, partner: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Makes the views of one image and its partner.

        Args:
            image: (3, h, w) uint8 RGB.
            generator: Random numbers.
            partner: (3, h, w) uint8 RGB of any size; None for the image itself.

        Returns:
            As of ``Views``.
        """


class Method(Protocol):
    """A learning method: an ``nn.Module`` with all networks and centres, whose state is the state of the run.

    Processes have equal batches and average their gradients; gathered tensors have gradients that fit this.
    The calls of one step get the same ``Progress``: ``loss`` (once for each part of an accumulated batch),
    ``before_step`` and ``after_step``.
    """

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        """Computes the loss of this process's batch; what is compared across processes is gathered.

        Args:
            batch: The views by name.
            progress: The position in the run.

        Returns:
            The loss, its terms and what monitors look at.
        """

    def groups(self) -> Iterable[Group]:
        """Lists the parameters that the optimiser moves.

        Returns:
            Groups with their factors on learning rate and weight decay.
        """

    def before_step(self, progress: Progress) -> None:
        """Is called when the gradients are there and before the optimiser moves.

        A method can drop gradients here, such as those of a frozen last layer.

        Args:
            progress: The position in the run.
        """

    def after_step(self, progress: Progress) -> None:
        """Is called after the optimiser has moved: it updates teachers and centres and clamps temperatures.

        Args:
            progress: The position in the run.
        """

    def exported(self) -> nn.Module:
        """Gives the network to export.

        Returns:
            The backbone that the method's authors evaluate.
        """


class Contrastive(Method, Protocol):
    """A method whose loss needs only one vector of each view, so that a batch may be larger than memory.

    ``loss(batch)`` is ``compare(gathered(embed(batch)))``; gradient caching calls the two separately.
    """

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """Encodes a batch.

        Args:
            batch: The views by name.

        Returns:
            Vectors (n, c) by name, and what ``compare`` needs to know of each row, without gradient.
        """

    def compare(self, embedded: Mapping[str, Tensor]) -> Losses:
        """Computes the loss of vectors.

        Args:
            embedded: Vectors of the whole batch, of all processes, as of ``embed``.

        Returns:
            The loss, its terms and what monitors look at.
        """


@runtime_checkable
class Prepared(Protocol):
    """A method that looks at images before the first step of a new run and keeps the result in its state.

    Attributes:
        settings: Have ``statistics``, the number of images that it looks at.
    """

    settings: Any

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Looks at images.

        Args:
            batches: The first batches as a whole, the same in every process.
        """
