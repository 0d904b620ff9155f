"""The engine interface: normalised images in, named tensors out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from perception_contrast.engines.engine_names import Kind, Precision


@dataclass(frozen=True)
class Plan:
    """A kind of engine at a precision, which can be built and measured."""

    kind: Kind
    precision: Precision

    def __str__(self) -> str:
        return f"{self.kind} {self.precision}"


class Engine(Protocol):
    """Runs an encoder.

    Attributes:
        name: its kind, one of ``engine_names.KINDS``.
        precision: of its matrix products, one of ``engine_names.PRECISIONS``.
        device: where its tensors are.
        outputs: names of the tensors that it gives.
    """

    name: str
    precision: str
    device: str
    outputs: tuple[str, ...]

    def run(self, images: Tensor) -> dict[str, Tensor]:
        """Runs a batch.

        Args:
            images: (B, 3, H, W) float32 on ``device``, normalised.

        Returns:
            Output name to a float32 tensor, which later runs leave alone.

        Raises:
            ModelError, RuntimeError: the engine failed.
        """
        ...
