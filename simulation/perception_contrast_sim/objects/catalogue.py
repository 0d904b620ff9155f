"""Every category of the household, and what is kept back from training."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from perception_contrast_sim.objects.category import Category

# In this order: a category's number, and with it what a seed draws, follows from it.
_KINDS = (
    "small.tableware",
    "small.food",
    "small.everyday_objects",
    "small.toys",
    "furniture.furniture_categories",
    "appliances.appliance_categories",
    "fixtures.fixture_categories",
)

# Colour and category pairs that training never shows; the evaluation asks for them.
UNSEEN_PAIRS: frozenset[tuple[str, str]] = frozenset(
    {
        ("red", "mug"), ("blue", "mug"), ("green", "chair"), ("yellow", "chair"), ("purple", "sofa"),
        ("orange", "bowl"), ("blue", "bowl"), ("pink", "bottle"), ("turquoise", "vase"), ("red", "book"),
        ("green", "book"), ("yellow", "plate"), ("brown", "cushion"), ("white", "toy car"),
        ("black", "kettle"), ("blue", "backpack"), ("red", "curtain"), ("green", "table lamp"),
        ("pink", "rug"), ("orange", "cup"), ("purple", "cup"), ("blue", "armchair"), ("red", "stool"),
        ("yellow", "bucket"), ("grey", "door"),
    }
)  # fmt: skip


@cache
def catalogue() -> tuple[Category, ...]:
    """All categories in a fixed order."""
    found: list[Category] = []
    for kind in _KINDS:
        found += import_module(f"{__package__}.{kind}").CATEGORIES
    return tuple(found)


@cache
def category(name: str) -> Category:
    """The category of that name; KeyError names it when there is none."""
    for candidate in catalogue():
        if candidate.name == name:
            return candidate
    raise KeyError(name)
