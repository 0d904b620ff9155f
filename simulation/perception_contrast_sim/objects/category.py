"""What a category of household things is: how to build one, what it is called, where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from perception_contrast_sim.geometry.object_model import ObjectModel

Builder = Callable[[np.random.Generator, bool], ObjectModel]


@dataclass(frozen=True)
class Category:
    """build(rng, unseen): unseen=True draws shapes and proportions that unseen=False never draws.

    place: "table" (small things), "floor", "wall", "ceiling". synonyms: other names used in
    training; unseen_synonyms: names that only the evaluation uses. parent: a wider word
    ("fruit", "vehicle toy") or "". materials: of "plastic", "wood", "metal", "ceramic",
    "glass", "fabric", "leather", "paper", "rubber", "stone", "wicker"; empty: not varied.
    held_out: never in training, neither by look nor by name.
    """

    name: str
    build: Builder
    place: str
    synonyms: tuple[str, ...] = ()
    unseen_synonyms: tuple[str, ...] = ()
    parent: str = ""
    materials: tuple[str, ...] = ()
    held_out: bool = False
