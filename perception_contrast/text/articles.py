"""The English article that a phrase takes: "an apple", "a unicycle", "scissors", "my keys".

Rules and word lists of our own: see inflect in docs/dependencies.md. A change here changes the sentences
that a text encoder reads, and so the vectors and figures of every phrase that it concerns.
"""

from __future__ import annotations

import re

_ARTICLE = re.compile(r"^(?:a|an|the)\s+(?=\S)", re.IGNORECASE)
# After one of these there is no article; of several words before a noun it is always the first.
_DETERMINERS = frozenset(
    (
        "my", "your", "his", "her", "its", "our", "their", "this", "that", "these", "those", "some",
        "any", "each", "every", "no", "another", "both", "all", "few", "many", "several", "two",
        "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    )
)  # fmt: skip
_OF_WHAT = re.compile(
    r"\s(?:of|on|in|with|without|for|from|at|by|under|behind|beside|near|next|that|which)\s.*$"
)
_LETTERS_AND_DIGITS = re.compile(r"[a-z0-9]", re.IGNORECASE)

_AN_BEFORE = ("hour", "honest", "honour", "honor", "heir", "x-ray", "x ray")
_A_BEFORE = re.compile(r"(?:uni(?!n|m)|us[abeu]|euro?|ute|uke|ur[aei]|one\b|once\b|u-|ewe|ewer)")
# Read letter by letter, and the first letter's name begins with a vowel.
_AN_LETTERS = frozenset(
    (
        "fm", "hdmi", "hgv", "lcd", "led", "mp3", "mri", "nfc", "rc", "rgb", "rv", "sd", "sos", "ssd",
        "suv", "svg", "mdf", "lp", "lpg", "hvac", "rfid", "fpv", "hmi",
    )
)  # fmt: skip

_PLURAL = frozenset(
    (
        "people", "men", "women", "children", "feet", "teeth", "mice", "geese", "oxen", "cattle",
        "police", "scissors", "pliers", "tweezers", "tongs", "shears", "binoculars", "glasses",
        "sunglasses", "goggles", "headphones", "earphones", "trousers", "jeans", "shorts", "pants",
        "pyjamas", "pajamas", "tights", "leggings", "clothes", "stairs", "dice", "lego", "workmen",
        "firemen", "policemen", "craftsmen",
    )
)  # fmt: skip
_MASS = frozenset(
    (
        "asphalt", "bread", "butter", "cardboard", "cash", "cement", "cheese", "clay", "clothing",
        "clutter", "coal", "concrete", "cookware", "cotton", "crockery", "cutlery", "debris", "dirt",
        "dough", "dust", "earth", "electronics", "equipment", "fabric", "firewood", "flour", "foam",
        "foliage", "food", "footwear", "fruit", "fur", "furniture", "garbage", "grass", "gravel",
        "greenery", "ground", "hair", "hay", "ice", "jewellery", "jewelry", "juice", "laundry",
        "leather", "litter", "luggage", "lumber", "machinery", "meat", "milk", "money", "mud", "music",
        "oil", "packaging", "paint", "paper", "pasta", "plastic", "pottery", "rain", "rice", "rubbish",
        "rubble", "rust", "sand", "sawdust", "scaffolding", "seaweed", "signage", "silverware", "sky",
        "smoke", "snow", "soap", "soil", "stationery", "steam", "steel", "straw", "sugar", "tableware",
        "tarmac", "toast", "trash", "underwear", "vegetation", "water", "weather", "wheat", "wood",
        "wool",
    )
)  # fmt: skip
# They end like a plural.
_SINGULAR = frozenset(
    (
        "bus", "gas", "lens", "canvas", "atlas", "chess", "tennis", "christmas", "pancreas", "abacus",
        "species", "series",
    )
)  # fmt: skip


def without_article(phrase: str) -> str:
    """The phrase less its own leading a, an or the."""
    return _ARTICLE.sub("", phrase)


def with_a(phrase: str) -> str:
    """The phrase with the indefinite article that it takes, or with none.

    Its own article gives way. A plural, a mass noun, a phrase that begins with another determiner
    ("my keys", "two mugs") and one that is not written in Latin letters take none. What is plural is
    told by the head noun: the last word before "of", "with", "on" and their like.
    """
    bare = without_article(phrase)
    if not _takes_article(bare):
        return bare
    return f"{'an' if _begins_with_vowel(bare.lower()) else 'a'} {bare}"


def with_the(phrase: str) -> str:
    """The phrase with "the", unless another determiner or another script leaves no room for it."""
    bare = without_article(phrase)
    return bare if _determined(bare) or not _is_latin(bare) else f"the {bare}"


def _takes_article(bare: str) -> bool:
    if _determined(bare) or not _is_latin(bare):
        return False
    head = re.sub(r"[^\w-]+$", "", _OF_WHAT.sub("", bare.lower())).rpartition(" ")[2]
    return head not in _MASS and not _is_plural(head)


def _determined(bare: str) -> bool:
    first = bare.lower().partition(" ")[0]
    return first in _DETERMINERS or (first.isdigit() and " " in bare)


def _is_latin(bare: str) -> bool:
    """Whether its first letter or digit is one of a to z or 0 to 9, or is derived from one."""
    first = next((character for character in bare if character.isalnum()), "")
    return bool(_LETTERS_AND_DIGITS.match(first)) or "\u00c0" <= first <= "\u024f"


def _is_plural(head: str) -> bool:
    if head in _PLURAL:
        return True
    return head.endswith("s") and not head.endswith(("ss", "us", "is")) and head not in _SINGULAR


def _begins_with_vowel(bare: str) -> bool:
    start = bare.lstrip("\"'([")
    if start.startswith(_AN_BEFORE) or re.split(r"[\s-]", start, maxsplit=1)[0] in _AN_LETTERS:
        return True
    if _A_BEFORE.match(start):
        return False
    return start[:1] in "aeiouàáâäåæèéêëìíîïòóôöøùúûü8" or re.match(r"1[18]\b", start) is not None
