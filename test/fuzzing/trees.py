"""Mutations of what YAML and JSON hold: mappings, lists, texts, numbers."""

from __future__ import annotations

import copy
from datetime import date
from random import Random
from typing import Any

from fuzzing.mutations import NUMBERS, TEXTS, changes, interesting_float


def mutated_tree(rng: Random, tree: Any, other: Any, *, dates: bool = False) -> Any:
    """One to eight changes of a tree.

    Args:
        rng: Chooses them.
        tree: Left as it is.
        other: Another tree, parts of which may be put in.
        dates: Whether the tree may hold dates and bytes, as YAML does.
    """
    box = [copy.deepcopy(tree)]
    for _ in range(changes(rng)):
        _change(rng, box, other, dates)
    return box[0]


def _places(tree: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """(container, key or index) of everything in a tree, at most a thousand."""
    waiting = [tree]
    while waiting and len(found) < 1000:
        one = waiting.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one))
        for key in keys:
            found.append((one, key))
            if isinstance(one[key], dict | list):
                waiting.append(one[key])
    return found


def _change(rng: Random, box: list[Any], other: Any, dates: bool) -> None:
    holder, key = rng.choice(_places(box, []))
    value, kind = holder[key], rng.randrange(9)
    if kind <= 2:
        holder[key] = _value(rng, dates)
    elif kind == 3 and holder is not box:
        del holder[key]
    elif kind == 4 and isinstance(holder, dict):
        holder[_key(rng, key)] = holder.pop(key)
    elif kind == 5 and isinstance(value, list) and value:
        value.extend(
            [copy.deepcopy(rng.choice(value))]
            * rng.choice((1, 1, 2, 9, 40) if rng.random() < 0.97 else (2000,))
        )
    elif kind == 6:
        holder[key] = rng.choice(([value], {"a": value}, {key if isinstance(key, str) else "a": value}))
    elif kind == 7 and isinstance(other, dict | list) and other:
        held, there = rng.choice(_places([other], []))
        holder[key] = copy.deepcopy(held[there])
    elif isinstance(value, str):
        holder[key] = _text(rng, value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        holder[key] = _number(rng, value)


def _key(rng: Random, key: Any) -> Any:
    text = str(key)
    return rng.choice(
        (text + "s", text[:-1], text.upper(), text.replace("_", "-"), rng.choice(TEXTS), 1, None, True)
    )


def _text(rng: Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    return rng.choice(
        (text[:at], text[:at] + rng.choice(TEXTS) + text[at:], text * 3, text.upper(), text[::-1])
    )


def _number(rng: Random, value: float) -> Any:
    if abs(value) > 1e15:
        return -value
    return rng.choice((-value, value * 10, value + 1, value - 1, value / 3, str(value)))


def _value(rng: Random, dates: bool) -> Any:
    kind = rng.randrange(7)
    if kind == 0:
        return rng.choice(TEXTS)
    if kind == 1:
        number = rng.choice((*NUMBERS, 10**30, 10**400))
        return rng.choice((number, -number))
    if kind == 2:
        return interesting_float(rng)
    if kind == 3:
        return _nested(rng)
    if kind == 4 and dates:
        return rng.choice((date(2024, 1, 2), b"\0\xff", {1: 2, None: 3}))
    return rng.choice((None, True, False, [], {}, [[]], [None], {"a": {}}, ["a", 1, None]))


def _nested(rng: Random) -> Any:
    """Lists or mappings, one in the other."""
    made: Any = 0
    for _ in range(rng.choice((3, 30, 90))):
        made = [made] if rng.random() < 0.5 else {"a": made}
    return made
