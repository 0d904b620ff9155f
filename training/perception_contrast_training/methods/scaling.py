"""Published settings are for a million images and thousands a batch; what to make of them for fewer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

Settings = TypeVar("Settings")

IMAGENET = 1_281_167
SMALL = 64  # pixels of a side, up to which what the authors chose for CIFAR-10 holds
PER_PROTOTYPE = 20  # images, as with 65,536 prototypes on ImageNet


@dataclass(frozen=True)
class Scale:
    """What there is to learn from.

    Attributes:
        images: Number of different images, or of pairs.
        batch: Images of a step, over all processes.
        epochs: Passes over the images.
        size: Side of the images in pixels.
    """

    images: int
    batch: int
    epochs: float
    size: int = 224

    @property
    def steps(self) -> int:
        return max(1, int(self.epochs * self.images / self.batch))


def prototypes_for(published: int, scale: Scale) -> int:
    """A power of two with about twenty images a prototype, 512 at least, the published number at most."""
    wanted = 1 << round(math.log2(max(1.0, scale.images / PER_PROTOTYPE)))
    return min(published, max(512, wanted))


def momentum_for(published: float, scale: Scale, least: float = 10.0) -> float:
    """A teacher whose memory, 1 / (1 - momentum) steps, is a hundredth of the run at most, but ``least``
    steps, and no longer than published."""
    memory = min(1 / (1 - published), max(least, scale.steps / 100))
    return round(1 - 1 / memory, 5)


def epochs_for(published: float, share: float, scale: Scale) -> float:
    """A warm-up of ``published`` epochs, ``share`` of the run at most."""
    return min(published, round(share * scale.epochs, 3))


def blurred(scale: Scale) -> str:
    """Why small images are not blurred."""
    return f"images of {scale.size} pixels have little to blur"


def change_sentence(name: str, old: object, new: object, why: str) -> list[str]:
    """Says what was chosen, and why.

    Args:
        name: Name of the setting.
        old: Its published value.
        new: Its value in this run.
        why: The reason, a clause without a full stop.

    Returns:
        The sentence; none if nothing changed.
    """
    return [] if old == new else [f"{name} is {new} in place of {old}: {why}"]


def unchanged(settings: Settings, scale: Scale) -> tuple[Settings, list[str]]:
    """Is ``fit_to_data`` of a method whose published settings hold for few images too.

    Args:
        settings: Settings of the method.
        scale: What there is to learn from.

    Returns:
        The settings, and no sentences.
    """
    return settings, []
