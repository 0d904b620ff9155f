"""The fixed split of a set of photographs: what trains, what calibrates, and what figures are taken on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

Part = Literal["train", "calibration", "test"]
BLOCK = 10  # photographs that follow one another often show one room
TEST_SHARE = 0.2
CALIBRATION_SHARE = 0.1


def part_of(name: str, keys: Sequence[str], part: Part) -> tuple[str, ...]:
    """The keys of a part, in order: blocks of neighbours fall to one part by a hash of set and block.

    Args:
        name: Of the set.
        keys: Of all its photographs, in the set's order.
        part: Which side.
    """
    return tuple(key for index, key in enumerate(keys) if _side(name, index // BLOCK) == part)


def evenly(keys: Sequence[str], most: int = 0) -> tuple[str, ...]:
    """At most so many keys, spread over all of them: neighbours show one room. most: 0 for all."""
    if not most or most >= len(keys):
        return tuple(keys)
    return tuple(keys[index * len(keys) // most] for index in range(most))


def _side(name: str, block: int) -> Part:
    digest = hashlib.sha256(f"{name}/{block}".encode()).digest()
    place = int.from_bytes(digest[:4], "big") / 2**32
    if place < TEST_SHARE:
        return "test"
    return "calibration" if place < TEST_SHARE + CALIBRATION_SHARE else "train"
