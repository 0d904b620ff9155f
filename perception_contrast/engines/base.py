"""What every engine is: normalised images in, named tensors out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from perception_contrast.engines.engine_names import Kind, Precision


@dataclass(frozen=True)
class Plan:
    """A kind of engine at a precision: what can be asked for, built and measured."""

    kind: Kind
    precision: Precision

    def __str__(self) -> str:
        return f"{self.kind} {self.precision}"


class Engine(Protocol):
    """name: its kind. precision: of its matrix products. device: where its tensors are. outputs: names."""

    name: str
    precision: str
    device: str
    outputs: tuple[str, ...]

    def run(self, images: Tensor) -> dict[str, Tensor]:
        """images (B, 3, H, W) float32 on ``device``, normalised; float32 tensors that stay the caller's."""
        ...
