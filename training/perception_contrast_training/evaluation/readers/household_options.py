"""Which scenes of the simulated household are evaluated on, as the command line says it."""

from __future__ import annotations

from dataclasses import dataclass

from perception_contrast.core.errors import PerceptionError

PREFIX = "household"
SCENES = 50


@dataclass(frozen=True)
class HouseholdOptions:
    """scenes: how many images. held_out: categories that training never saw may come up and are asked for.
    seen: shapes, textures and colour pairs of training, else those kept back from it."""

    scenes: int = SCENES
    seed: int = 0
    held_out: bool = False
    seen: bool = False
    offline: bool = False


def scenes_of(text: str) -> int | None:
    """Scenes asked for by ``household[:scenes]``; None for other data. Raises PerceptionError."""
    name, separator, count = text.partition(":")
    if name != PREFIX:
        return None
    if not separator:
        return SCENES
    if not count.isdecimal() or not int(count):
        raise PerceptionError(f"'{text}': write {PREFIX} or {PREFIX}:SCENES with a whole number from 1 on")
    return int(count)
