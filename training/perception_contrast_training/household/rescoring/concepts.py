"""What single things are asked: concepts drawn from them, and which is true of which, all at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from perception_contrast.core.errors import PerceptionError
from perception_contrast_sim.objects.props import SceneObject
from perception_contrast_training.household.words import SURFACES, Concept, Words, describe, twisted

DESCRIBED, PARENTS, TWISTED = 0.5, 0.05, 0.25  # of the concepts; the rest are names
ELSEWHERE = 0.4  # of those names, of what no room shows
ATTRIBUTES = ("color", "material", "size")

Things = Sequence[SceneObject | None]


def shown_names(words: Words) -> tuple[str, ...]:
    """What views are told apart by: the names of things, then those of walls, floors and ceilings."""
    return (*words.names, *SURFACES)


def draw_concepts(things: Things, words: Words, count: int, rng: np.random.Generator) -> list[Concept]:
    """Half are true of one of the things, a quarter of a kind with one word changed, the rest are bare names.

    A thing is alone in its view, so no concept tells what it stands on, or its size among others.
    """
    shown = [thing for thing in things if thing is not None]
    if not shown:
        raise PerceptionError("these scenes show nothing that has a name; render more of them")
    chosen = rng.integers(0, len(shown), int(count * DESCRIBED))
    concepts = [describe(shown[int(i)], words, rng, {}) for i in chosen]
    concepts += [Concept(str(rng.choice(words.parents))) for _ in range(int(count * PARENTS))]
    changed = rng.integers(0, len(concepts), int(count * TWISTED)) if concepts else ()
    concepts += [twisted(concepts[int(i)], words, rng) for i in changed]
    while len(concepts) < count:
        names = words.elsewhere if rng.random() < ELSEWHERE else words.names
        concepts.append(Concept(str(rng.choice(names))))
    return concepts


class TruthTable:
    """Which of its concepts are true of which of its things, as ``Words.true_of`` says.

    names: what things and surfaces are called. category: (n,) int64 place among them, len(names) for nothing.
    Raises PerceptionError for a thing with another name, or a concept that asks what a thing stands on.
    """

    def __init__(self, things: Things, concepts: Sequence[Concept], words: Words) -> None:
        if any(concept.on for concept in concepts):
            raise PerceptionError("what a thing stands on cannot be asked of one that is seen alone")
        self.names = shown_names(words)
        place = {name: number for number, name in enumerate(self.names)}
        try:
            found = [len(place) if thing is None else place[thing.category] for thing in things]
        except KeyError as error:
            raise PerceptionError(f"a thing is called {error}, which is no name of training") from error
        self.category = torch.tensor(found, dtype=torch.int64)
        # Of nothing, in the last column, no concept is true.
        self._named = torch.tensor(
            [[name in words.kinds.get(c.name, ()) for name in self.names] + [False] for c in concepts]
        )
        self._attributes = [
            _numbered(
                [getattr(concept, one) for concept in concepts],
                ["" if thing is None else getattr(thing, one) for thing in things],
            )
            for one in ATTRIBUTES
        ]

    def of(self, things: Tensor, concepts: Tensor) -> Tensor:
        """(n, q) int64: 1 true, 0 false, -1 cannot be said. things (n,), concepts (q,): numbers of them."""
        false = ~self._named[concepts].T[self.category[things]]
        unsure = torch.zeros_like(false)
        for asked, known in self._attributes:
            wanted, given = asked[concepts][None], known[things][:, None]
            false = false | ((wanted != 0) & (given != 0) & (wanted != given))
            unsure = unsure | ((wanted != 0) & (given == 0))
        return torch.where(false, 0, torch.where(unsure, -1, 1))


def _numbered(asked: Iterable[str], known: Iterable[str]) -> tuple[Tensor, Tensor]:
    """Equal words have equal numbers; no word is 0."""
    numbers = {"": 0}
    both = [[numbers.setdefault(word, len(numbers)) for word in part] for part in (asked, known)]
    return torch.tensor(both[0], dtype=torch.int64), torch.tensor(both[1], dtype=torch.int64)
