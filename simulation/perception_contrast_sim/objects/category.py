"""What a category of household things is: how to build one, what it is called, where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perception_contrast_sim.geometry.object_model import ObjectModel

Builder = Callable[[np.random.Generator, bool], ObjectModel]


@dataclass(frozen=True)
class Category:
    """A kind of thing.

    Attributes:
        name: What it is called.
        build: ``build(rng, unseen)`` makes one; ``unseen`` draws shapes and proportions that are never
            drawn without it.
        place: "table" (small things), "floor", "wall" or "ceiling".
        synonyms: Other names, used in training.
        unseen_synonyms: Names that the evaluation alone uses.
        parent: A wider word, such as "fruit"; or "".
        materials: Names of ``MATERIALS`` that it may be made of; empty where its material is not varied.
        held_out: Whether training has it neither by look nor by name.
    """

    name: str
    build: Builder
    place: str
    synonyms: tuple[str, ...] = ()
    unseen_synonyms: tuple[str, ...] = ()
    parent: str = ""
    materials: tuple[str, ...] = ()
    held_out: bool = False
