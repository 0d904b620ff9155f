"""What is asked about an image, and what the right answer is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_contrast_sim.objects.catalogue import UNSEEN_PAIRS, category
from perception_contrast_sim.objects.materials import COLOUR_SYNONYMS
from perception_contrast_sim.rooms.scenes import LabelledScene
from perception_contrast_training.household.words import SURFACES, Concept, Words, phrase

LEAST_SHARE = 2e-3  # of the image; smaller things are not asked for


@dataclass(frozen=True)
class Question:
    """kind: group of the report. text: what is asked. truth: (H, W) bool, or None when it is absent."""

    kind: str
    text: str
    truth: NDArray[np.bool_] | None


def mask_of(image: LabelledScene, words: Words, concept: Concept) -> NDArray[np.bool_] | None:
    """Exact mask of a concept; None when something in the image leaves the answer open."""
    wanted: list[int] = []
    for number, thing in image.objects.items():
        answer = words.true_of(concept, thing, image.objects)
        if answer < 0:
            return None
        if answer:
            wanted.append(number)
    return np.isin(image.instances, wanted)


def present_questions(image: LabelledScene, words: Words, rng: np.random.Generator) -> Iterable[Question]:
    """Category, colour and category, new pairs, held-out phrasings and synonyms: for what is there."""
    asked: set[tuple[str, str]] = set()
    for thing in image.objects.values():
        name, pair = thing.category, (thing.color, thing.category)
        if ("", name) not in asked:
            asked.add(("", name))
            yield from _question("category", image, words, Concept(name), name)
            unseen = () if name in SURFACES else category(name).unseen_synonyms
            for synonym in unseen[:1]:
                yield from _question("held-out synonym", image, words, Concept(synonym), synonym)
            text = phrase(Concept(name), rng, unseen=True)
            yield from _question("held-out phrasing", image, words, Concept(name), text)
        if thing.color and pair not in asked:
            asked.add(pair)
            concept = Concept(name, color=thing.color)
            kind = "new colour-object pair" if pair in UNSEEN_PAIRS else "colour and category"
            yield from _question(kind, image, words, concept, f"{thing.color} {name}")
            text = phrase(concept, rng, unseen=True)
            yield from _question("held-out phrasing", image, words, concept, text)
            kept = COLOUR_SYNONYMS[thing.color][1][0]
            yield from _question("held-out synonym", image, words, concept, f"{kept} {name}")


def _question(
    kind: str, image: LabelledScene, words: Words, concept: Concept, text: str
) -> Iterable[Question]:
    truth = mask_of(image, words, concept)
    if truth is not None and truth.mean() >= LEAST_SHARE:
        yield Question(kind, text, truth)


def absent_questions(
    image: LabelledScene, words: Words, rng: np.random.Generator, count: int
) -> Iterable[Question]:
    """Names of the household and of elsewhere, and wrong colours, for what is certainly not there."""
    made = 0
    while made < count:
        name = str(rng.choice(words.elsewhere if made % 4 == 0 else words.names))
        truth = mask_of(image, words, Concept(name))
        open_ = any(words.may_mean(name, thing.category) for thing in image.objects.values())
        if truth is not None and not truth.any() and not open_:
            made += 1
            yield Question("absent name", name, None)
    coloured = [o for o in image.objects.values() if o.color]
    for thing in [coloured[int(i)] for i in rng.permutation(len(coloured))[: count // 4]]:
        others = [
            c for c in ("red", "green", "blue", "yellow", "purple", "black", "white") if c != thing.color
        ]
        concept = Concept(thing.category, color=str(rng.choice(others)))
        truth = mask_of(image, words, concept)
        if truth is not None and not truth.any():
            yield Question("absent colour", f"{concept.color} {concept.name}", None)
