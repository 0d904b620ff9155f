"""Counts in messages: "1 object", "2 objects"."""

from __future__ import annotations


def counted(count: int, one: str, several: str = "") -> str:
    """A number with its noun.

    Args:
        count: How many.
        one: The noun of one.
        several: The noun of any other number; "" for ``one`` with an s.
    """
    return f"{count} {one if count == 1 else several or f'{one}s'}"
