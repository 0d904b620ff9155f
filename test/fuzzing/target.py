"""The base of all targets: seeds, mutations that know the format, and the code that reads an input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import ClassVar

Mutation = Callable[[Random, bytes], bytes]


class UndocumentedError(Exception):
    """An error of an allowed class that is not as documented, such as an unknown reason."""


class Target(ABC):
    """One kind of input and its readers.

    Args:
        scratch: An empty folder for files of this target, on a fast disk.

    Attributes:
        allowed: Errors that ``run`` may raise; they are those that the readers document.
        mutations: Mutations that know the format; those of plain bytes come on top.
    """

    allowed: ClassVar[tuple[type[Exception], ...]] = ()

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch

    @property
    def mutations(self) -> Sequence[Mutation]:
        return ()

    @abstractmethod
    def seeds(self) -> list[bytes]:
        """Sound inputs to begin from, the same ones each time."""

    @abstractmethod
    def run(self, data: bytes) -> None:
        """Reads one input with everything that would read it. Raises one of ``allowed`` to refuse it."""

    def begin(self) -> None:  # noqa: B027 - most targets have no such state
        """Called before a slice of inputs; puts back state that inputs share."""
