"""What household things are called, and which phrases are true of which things."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from perception_contrast_sim.objects.catalogue import catalogue
from perception_contrast_sim.objects.materials import COLOUR_SYNONYMS, COLOURS, MATERIAL_WORDS, MATERIALS
from perception_contrast_sim.objects.props import SceneObject

# Structure of a room: name, synonyms used in training, synonyms kept for the evaluation.
SURFACES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "floor": (("ground", "floorboards"), ("flooring",)),
    "wall": (("wall of the room", "room wall"), ("wall surface",)),
    "ceiling": (("roof of the room",), ("room's ceiling",)),
}

# Things that no image of the household shows: always absent.
ELSEWHERE: tuple[str, ...] = (
    "person", "man", "woman", "child", "hand", "face", "dog", "cat", "horse", "cow", "sheep", "elephant",
    "bird", "fish", "bear", "zebra", "giraffe", "bicycle", "motorcycle", "car", "bus", "truck",
    "train station", "airplane", "boat", "ship", "traffic light", "traffic sign", "fire hydrant",
    "stop sign", "parking meter", "road", "street", "sidewalk", "tree", "forest", "mountain", "river",
    "lake", "sea", "beach", "sky", "cloud", "snow", "grass field", "building", "skyscraper", "bridge",
    "church", "tower", "fence", "tent", "kite", "surfboard", "skateboard", "snowboard", "tennis racket",
    "baseball bat", "golf club", "swimming pool", "swing", "slide", "statue", "flag", "tractor",
    "excavator", "crane", "forklift", "pallet", "conveyor belt", "robot arm", "drone", "satellite",
    "wheelbarrow", "lawn mower", "chainsaw", "anvil", "barrel", "anchor", "cactus field", "waterfall",
    "campfire", "hot dog", "hamburger", "sushi", "noodles", "steak", "salad", "ice cream", "popcorn",
    "grapes", "strawberry", "pumpkin", "mushroom", "corn", "garlic", "onion", "pepper", "coconut", "violin",
    "drum", "piano", "trumpet", "microscope", "telescope", "stethoscope", "syringe", "wheelchair",
    "stroller", "bandage", "pill", "sword", "helmet", "glove", "sock", "tie", "dress", "trousers", "jacket",
    "scarf", "ring", "necklace", "wristwatch", "sunglasses", "wallet", "coin", "banknote", "passport",
    "key", "padlock", "chain", "rope", "net", "hook", "saw", "axe", "shovel", "rake", "pliers", "nail",
    "screw", "bolt", "gear", "spring", "magnet", "battery", "cable", "circuit board", "antenna",
    "calculator", "stapler", "envelope", "stamp", "map", "newspaper", "ticket", "balloon", "gift",
    "christmas tree", "snowman", "skeleton", "mask", "crown", "feather", "shell", "bone", "spider",
    "butterfly", "snake", "frog", "turtle", "rabbit", "mouse animal", "squirrel", "monkey", "lion", "tiger",
    "whale", "dinosaur",
)  # fmt: skip

# The same, kept for the evaluation.
UNSEEN_ELSEWHERE: tuple[str, ...] = (
    "lighthouse", "windmill", "submarine", "helicopter", "rocket", "tank", "castle", "pyramid", "igloo",
    "fountain", "volcano", "desert", "rainbow", "camel", "kangaroo", "penguin", "dolphin", "crocodile",
    "owl", "bee", "octopus", "sandwich", "waffle", "pretzel", "avocado", "broccoli", "cabbage", "harp",
    "trombone", "accordion", "saxophone", "parachute", "canoe", "sled", "trampoline", "bow and arrow",
    "boxing glove", "bowling pin", "dartboard", "medal", "hourglass", "compass", "typewriter", "abacus",
    "binoculars", "lantern", "sundial", "cash register", "turnstile", "traffic cone", "fire truck",
    "ambulance", "escalator", "mailbox", "scarecrow", "beehive", "birdcage", "aquarium",
)  # fmt: skip

# Names whose last word is not what they are: a trash can is no can.
NOT_HEADS: frozenset[str] = frozenset(
    {
        "toilet bowl", "garbage can", "trash can", "looking glass", "electric cooker pot", "award cup",
        "winner's cup", "pencil cup",
    }
)  # fmt: skip

TEMPLATES: tuple[str, ...] = (
    "a {}", "the {}", "a photo of a {}", "find the {}", "a picture of the {}", "there is a {}",
    "{} in the room", "a {} in the scene", "look for a {}", "where is the {}", "one {}", "this is a {}",
    "is there a {} here?", "show me the {}", "please find a {}", "go to the {}", "pick up the {}",
    "an image of a {}", "a close-up of a {}", "a blurry photo of a {}", "some {}", "my {}", "your {}",
    "that {}", "I need the {}", "I am looking for a {}", "which one is the {}?", "what about the {}",
    "detect a {}", "segment the {}", "a rendering of a {}", "a {} on camera", "do you have a {}?",
    "take the {} to me", "the {} over there", "a {} at home", "the robot needs a {}",
    "we want to see the {}", "locate every {}", "grab a {}",
)  # fmt: skip
UNSEEN_TEMPLATES: tuple[str, ...] = (
    "can you see a {} anywhere?", "bring me the {}", "a robot's view of a {}", "I lost my {}",
    "point at the {}",
)  # fmt: skip


@dataclass(frozen=True)
class Concept:
    """What a phrase asks for. name: a noun of ``Words``; empty fields ask for nothing. on: a noun."""

    name: str
    color: str = ""
    material: str = ""
    size: str = ""
    on: str = ""


class Words:
    """Nouns and the categories they name. unseen: with the synonyms kept for the evaluation."""

    def __init__(self, *, held_out: bool = False, unseen: bool = False) -> None:
        self.kinds: dict[str, set[str]] = {}
        self.names: tuple[str, ...] = tuple(c.name for c in catalogue() if held_out or not c.held_out)
        self.synonyms: dict[str, tuple[str, ...]] = {}
        self.parents: tuple[str, ...] = tuple(sorted({c.parent for c in catalogue() if c.parent}))
        for item in catalogue():
            if item.held_out and not held_out:
                continue
            self.synonyms[item.name] = item.synonyms
            for noun in (item.name, *item.synonyms, *((item.parent,) if item.parent else ())):
                self.kinds.setdefault(noun, set()).add(item.name)
        for surface, (seen, _) in SURFACES.items():
            self.synonyms[surface] = seen
            for noun in (surface, *seen):
                self.kinds.setdefault(noun, set()).add(surface)
        self._share_head_nouns()
        if unseen:
            self._add_kept()
        # A word kept for the evaluation names nothing in training, not even something absent.
        reserved = {w for c in catalogue() for w in (c.unseen_synonyms if not unseen else ())}
        reserved |= {w for c in catalogue() if c.held_out for w in (c.name, *c.synonyms, *c.unseen_synonyms)}
        self.elsewhere = tuple(
            w
            for w in (UNSEEN_ELSEWHERE if unseen else ELSEWHERE)
            if w not in reserved and w not in self.kinds
        )

    def without_elsewhere(self, names: Iterable[str]) -> None:
        """Takes names out of what no image shows: photographs show them."""
        shown = set(names)
        self.elsewhere = tuple(word for word in self.elsewhere if word not in shown)

    def _share_head_nouns(self) -> None:
        """An office chair is a chair: a noun also names what its words end with."""
        for noun, kinds in self.kinds.items():
            for other, more in self.kinds.items():
                named_after_place = any(f" {word} " in other for word in ("on", "of", "in", "for", "with"))
                if other.endswith(f" {noun}") and other not in NOT_HEADS and not named_after_place:
                    kinds |= more

    def _add_kept(self) -> None:
        # After the sharing: a "water closet" must not change what a closet is from training to evaluation.
        kept = {item.name: item.unseen_synonyms for item in catalogue()}
        kept |= {surface: words for surface, (_, words) in SURFACES.items()}
        for name in self.synonyms:
            self.synonyms[name] += kept[name]
            for noun in kept[name]:
                self.kinds.setdefault(noun, set()).add(name)

    def may_mean(self, noun: str, category: str) -> bool:
        """Whether people may call a thing of the category by the noun: a toy car is called a car."""
        return category in self.meant_by(noun)

    def meant_by(self, noun: str) -> set[str]:
        """The categories whose things people may call by the noun."""
        called = [kinds for other, kinds in self.kinds.items() if other == noun or other.endswith(f" {noun}")]
        return set().union(*called)

    def true_of(self, concept: Concept, thing: SceneObject, others: dict[int, SceneObject]) -> int:
        """1 true, 0 false, -1 cannot be said (a colour or size that the image does not settle)."""
        if thing.category not in self.kinds.get(concept.name, ()):
            return 0
        answers = [
            _agrees(concept.color, thing.color),
            _agrees(concept.material, thing.material),
            _agrees(concept.size, thing.size),
        ]
        if concept.on:
            below = others.get(thing.on)
            standing = below is not None and below.category in self.kinds.get(concept.on, ())
            answers.append(1 if standing else (0 if below is not None or thing.on < 0 else -1))
        return 0 if 0 in answers else (-1 if -1 in answers else 1)


def _agrees(asked: str, known: str) -> int:
    if not asked:
        return 1
    return -1 if not known else int(asked == known)


def phrase(concept: Concept, rng: np.random.Generator, *, unseen: bool = False) -> str:
    """One wording of a concept; unseen: word order and templates that training never uses."""
    colour = concept.color
    if colour and not unseen and rng.random() < 0.3:
        colour = str(rng.choice((colour, *COLOUR_SYNONYMS[colour][0])))
    material = str(rng.choice(MATERIAL_WORDS[concept.material])) if concept.material else ""
    size = concept.size
    if size and rng.random() < 0.4:
        size = {"small": "little", "large": "big"}[size]
    if colour and unseen:
        front = " ".join(word for word in (size, material, concept.name) if word)
        text = str(rng.choice([f"{front} that is {colour}", f"{front} painted {colour}"]))
    elif colour and rng.random() < 0.25:
        front = " ".join(word for word in (size, material, concept.name) if word)
        orders = (
            "{0} in {1}",
            "{0} of {1} colour",
            "{0} coloured {1}",
            "{1}-coloured {0}",
            "{0}, {1}",
            "{0} with a {1} colour",
        )
        text = str(rng.choice(orders)).format(front, colour)
    else:
        text = " ".join(word for word in (size, colour, material, concept.name) if word)
    if concept.on:
        text += str(rng.choice([" on the ", " on a ", " standing on the "])) + concept.on
    if not unseen and rng.random() < 0.5:
        return text
    templates = UNSEEN_TEMPLATES if unseen else TEMPLATES
    return str(rng.choice(templates)).format(text)


def describe(
    thing: SceneObject, words: Words, rng: np.random.Generator, others: dict[int, SceneObject]
) -> Concept:
    """A concept that is true of a thing, with some of what is known about it."""
    name = thing.category
    if words.synonyms.get(name) and rng.random() < 0.4:
        name = str(rng.choice(words.synonyms[name]))
    concept = Concept(name)
    if thing.color and rng.random() < 0.5:
        concept = replace(concept, color=thing.color)
    if thing.material and rng.random() < 0.15:
        concept = replace(concept, material=thing.material)
    distractors = [
        o for o in others.values() if o.category == thing.category and o.size and o.size != thing.size
    ]
    if thing.size and distractors and rng.random() < 0.3:
        concept = replace(concept, size=thing.size)
    if thing.on in others and rng.random() < 0.08:
        concept = replace(concept, on=others[thing.on].category)
    return concept


def twisted(concept: Concept, words: Words, rng: np.random.Generator) -> Concept:
    """The concept with one thing changed, so that it is near but other."""
    if concept.color and rng.random() < 0.75:
        return replace(concept, color=str(rng.choice([c for c in COLOURS if c != concept.color])))
    if concept.material and rng.random() < 0.5:
        return replace(concept, material=str(rng.choice([m for m in MATERIALS if m != concept.material])))
    return replace(concept, name=str(rng.choice(words.names)))


def caption(objects: dict[int, SceneObject], words: Words, rng: np.random.Generator) -> str:
    """A sentence about up to four things of an image and how two of them stand."""
    things = [o for o in objects.values() if o.category not in SURFACES]
    if not things:
        return "an empty room"
    picked = [things[int(i)] for i in rng.permutation(len(things))[: int(rng.integers(1, 5))]]
    parts = []
    for thing in picked:
        concept = replace(describe(thing, words, rng, objects), on="")
        text = " ".join(w for w in (concept.size, concept.color, concept.name) if w)
        if thing.on in objects and rng.random() < 0.5:
            text += f" on a {objects[thing.on].category}"
        parts.append(f"a {text}")
    joined = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    return str(rng.choice(["{}", "a room with {}", "a photo of {}", "there is {}"])).format(joined)


def remembered_phrases(photographed: Iterable[str] = ()) -> list[str]:
    """Every noun of training, and every name in every colour: what other words lean on.

    Args:
        photographed: Words for what photographs show, where some were trained on.
    """
    words = Words()
    coloured = [f"{colour} {name}" for colour in COLOURS for name in words.names]
    return list(dict.fromkeys([*words.kinds, *photographed, *coloured]))


def known_names(photographed: Iterable[str] = ()) -> list[str]:
    """Names of what training shows and of what it never shows: what a query's region is doubted by.

    Args:
        photographed: Names of what photographs show, where some were trained on.
    """
    words = Words()
    return list(dict.fromkeys([*words.names, *SURFACES, *photographed, *words.elsewhere]))
