"""Words of the household: phrases are true of what they were made from, and kept words stay kept."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.core.errors import ModelError
from perception_contrast_sim.objects import assets
from perception_contrast_sim.objects.catalogue import UNSEEN_PAIRS, catalogue
from perception_contrast_sim.objects.materials import COLOUR_SYNONYMS, COLOURS
from perception_contrast_sim.objects.props import SceneObject, draw_colour, draw_prop
from perception_contrast_training.household.alignment.dense_batches import BatchMaker, BatchSettings
from perception_contrast_training.household.words import (
    ELSEWHERE,
    SURFACES,
    TEMPLATES,
    UNSEEN_TEMPLATES,
    Concept,
    Words,
    caption,
    describe,
    phrase,
    twisted,
)

WORDS, ALL_WORDS = Words(), Words(held_out=True, unseen=True)
SEEN = tuple(c for c in catalogue() if not c.held_out)
HELD_OUT = tuple(c for c in catalogue() if c.held_out)
# Whatever the evaluation calls unseen, as text.
KEPT = {w for c in catalogue() for w in c.unseen_synonyms} | {
    w for _, kept in SURFACES.values() for w in kept
}
KEPT |= {w for c in HELD_OUT for w in (c.name, *c.synonyms)}
KEPT |= {w for _, kept in COLOUR_SYNONYMS.values() for w in kept}
# "tin" is kept for can, and the training word "tin can" has it inside.
INSIDE_OTHERS = {"tin"}


def room(rng: np.random.Generator, count: int = 8) -> dict[int, SceneObject]:
    """Things as the scenes describe them: surfaces, and seen categories on each other."""
    things = {i: SceneObject(i, name) for i, name in enumerate(SURFACES)}
    for index in range(3, 3 + count):
        kind = SEEN[int(rng.integers(len(SEEN)))]
        things[index] = SceneObject(
            index,
            kind.name,
            str(rng.choice(["", *COLOURS])),
            str(rng.choice(kind.materials)) if kind.materials else "",
            str(rng.choice(["", "small", "large"])),
            int(rng.integers(-1, index)),
        )
    return things


def has_kept_words(text: str) -> list[str]:
    return [w for w in KEPT - INSIDE_OTHERS if re.search(rf"(?<!\w){re.escape(w)}(?!\w)", text)]


# Truth.


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_what_describes_a_thing_is_true_of_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    things = room(rng)
    for thing in things.values():
        assert WORDS.true_of(describe(thing, WORDS, rng, things), thing, things) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_a_twist_changes_one_thing_at_most_and_another_colour_is_false(seed: int) -> None:
    rng = np.random.default_rng(seed)
    things = room(rng)
    for thing in things.values():
        concept = describe(thing, WORDS, rng, things)
        other = twisted(concept, WORDS, rng)
        fields = ("name", "color", "material", "size", "on")
        changed = [f for f in fields if getattr(other, f) != getattr(concept, f)]
        assert len(changed) <= 1 and not set(changed) & {"size", "on"}
        if changed in (["color"], ["material"]):
            assert WORDS.true_of(other, thing, things) == 0


def test_truth_by_hand() -> None:
    desk = SceneObject(3, "desk", "brown", "wood")
    mug = SceneObject(4, "mug", "red", "ceramic", "small", on=3)
    plain = SceneObject(5, "toy robot", on=9)
    things = {3: desk, 4: mug, 5: plain}

    def answer(thing: SceneObject, name: str, **more: str) -> int:
        return ALL_WORDS.true_of(Concept(name, **more), thing, things)

    assert answer(mug, "mug", color="red", material="ceramic", size="small", on="desk") == 1
    assert answer(mug, "coffee mug") == answer(mug, "beaker") == answer(mug, "tableware") == 1
    assert answer(mug, "mug", color="blue") == answer(mug, "mug", size="large") == 0
    assert answer(mug, "mug", on="sofa") == answer(desk, "desk", on="rug") == 0
    assert answer(desk, "mug", color="brown") == 0
    assert answer(plain, "robot", color="red") == answer(plain, "robot", on="desk") == -1
    assert answer(plain, "cup", color="red") == 0, "what is certainly false stays so"
    assert answer(mug, "no such noun") == 0


@pytest.mark.parametrize(
    ("noun", "category"),
    [("chair", "office chair"), ("table", "coffee table"), ("lamp", "floor lamp"), ("ball", "soccer ball"),
     ("oven", "microwave"), ("furniture", "desk"), ("ground", "floor"), ("TV", "television")],
)  # fmt: skip
def test_a_noun_names_its_kinds(noun: str, category: str) -> None:
    assert category in WORDS.kinds[noun]


def test_the_evaluation_asks_by_the_truth_that_was_taught() -> None:
    for noun, kinds in WORDS.kinds.items():
        added = ALL_WORDS.kinds[noun] - kinds
        assert added <= {c.name for c in HELD_OUT}, noun
    for kind in catalogue():
        for synonym in kind.unseen_synonyms:
            assert ALL_WORDS.kinds[synonym] == {kind.name}


def test_a_toy_car_may_be_meant_by_car() -> None:
    assert WORDS.may_mean("car", "toy car") and WORDS.may_mean("bear", "teddy bear")
    assert not WORDS.may_mean("car", "carrot") and not WORDS.may_mean("dog", "toy car")


# What is kept back.


def test_no_kept_word_is_a_training_word() -> None:
    nouns = {*WORDS.kinds, *WORDS.elsewhere, *WORDS.names, *WORDS.parents}
    nouns |= {s for several in WORDS.synonyms.values() for s in several}
    assert {n: has_kept_words(n) for n in nouns if has_kept_words(n)} == {}
    assert not nouns & INSIDE_OTHERS
    assert not {w for seen, _ in COLOUR_SYNONYMS.values() for w in seen} & KEPT


def test_no_template_of_the_evaluation_is_trained_on() -> None:
    assert not set(TEMPLATES) & set(UNSEEN_TEMPLATES)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_no_kept_word_or_template_is_in_a_training_sentence(seed: int) -> None:
    rng = np.random.default_rng(seed)
    things = room(rng)
    visible = [things] * 3
    maker = BatchMaker([], WORDS, BatchSettings(phrases=40), 3, seed)
    sentences = [phrase(c, rng) for c in maker._concepts(visible)]
    sentences += [maker._category_word(name) for name in maker._names]
    sentences += [caption(things, WORDS, rng) for _ in range(4)]
    frames = [t.split("{}") for t in UNSEEN_TEMPLATES]
    for text in sentences:
        assert not has_kept_words(text), text
        assert not any(text.startswith(a) and text.endswith(b) for a, b in frames), text


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(COLOURS))
def test_phrases_of_the_evaluation_have_a_form_that_training_never_uses(seed: int, colour: str) -> None:
    rng = np.random.default_rng(seed)
    text = phrase(Concept("mug", color=colour), rng, unseen=True)
    frames = [t.split("{}") for t in UNSEEN_TEMPLATES]
    assert any(text.startswith(a) and text.endswith(b) for a, b in frames)
    assert " that is " in text or " painted " in text
    seen, kept = COLOUR_SYNONYMS[colour]
    assert any(word in text for word in (colour, *kept)) and not any(w in text for w in seen)


def test_scenes_of_training_never_show_the_kept_pairs() -> None:
    try:
        assets.prepare()
    except ModelError as error:
        pytest.skip(str(error))
    kinds = {c.name: c for c in catalogue()}
    for colour, name in sorted(UNSEEN_PAIRS):
        rng = np.random.default_rng(1)
        prop = draw_prop(rng, kinds[name], False)
        drawn = {draw_colour(rng, prop, UNSEEN_PAIRS) for _ in range(60)}
        assert (prop.model.color, name) not in UNSEEN_PAIRS
        assert colour not in drawn


def test_things_of_elsewhere_are_no_things_of_the_household() -> None:
    assert len(set(ELSEWHERE)) == len(ELSEWHERE)
    assert not set(ELSEWHERE) & set(ALL_WORDS.kinds)
    assert set(WORDS.elsewhere) == set(ELSEWHERE)
