"""The fixed split of a set of photographs: what is trained on, and what figures are taken on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

Part = Literal["train", "test"]
BLOCK = 10  # photographs that follow one another often show one room
TEST_SHARE = 0.2


def part_of(name: str, keys: Sequence[str], part: Part) -> tuple[str, ...]:
    """The keys of a part, in order: blocks of neighbours fall to one side by a hash of set and block.

    Args:
        name: Of the set.
        keys: Of all its photographs, in the set's order.
        part: Which side.
    """
    return tuple(key for index, key in enumerate(keys) if _side(name, index // BLOCK) == part)


def _side(name: str, block: int) -> Part:
    digest = hashlib.sha256(f"{name}/{block}".encode()).digest()
    return "test" if int.from_bytes(digest[:4], "big") / 2**32 < TEST_SHARE else "train"
