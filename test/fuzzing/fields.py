"""Mutations of a ROS message by its fields, and back to CDR."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype

from fuzzing.mutations import MOST_BYTES, NUMBERS, TEXTS, changes, interesting_float

_MOST_ITEMS = 2000


def mutated_fields(rng: Random, store: Any, kind: str, data: bytes) -> bytes:
    """CDR of a message of which one to eight fields were changed, each within its type.

    Args:
        rng: Chooses the fields and their values.
        store: The types, of rosbags.
        kind: Of the message, such as "sensor_msgs/msg/Image".
        data: CDR of a message.

    Raises:
        Exception: ``data`` is not CDR of this type, which is for the caller to expect.
    """
    message = copy.deepcopy(store.deserialize_cdr(data, kind))
    for _ in range(changes(rng)):
        _change(rng, store, kind, message)
    return bytes(store.serialize_cdr(message, kind))[:MOST_BYTES]


def _change(rng: Random, store: Any, kind: str, message: Any) -> None:
    name, field = rng.choice(store.fielddefs[kind][1])
    setattr(message, name, _changed(rng, store, field, getattr(message, name)))


def _changed(rng: Random, store: Any, field: Any, value: Any) -> Any:
    what, details = field
    if what == Nodetype.BASE:
        return _base(rng, details[0], value)
    if what == Nodetype.NAME:
        _change(rng, store, details, value)
        return value
    items, _ = details
    if isinstance(value, np.ndarray):
        return _numbers(rng, items[1][0], value, fixed=what == Nodetype.ARRAY)
    return _list(rng, store, items, list(value), fixed=what == Nodetype.ARRAY)


def _base(rng: Random, kind: str, value: Any) -> Any:
    if kind == "string":
        return _text(rng, value)
    if kind == "bool":
        return not value
    if kind.startswith("float"):
        return interesting_float(rng) if rng.random() < 0.7 else value * rng.choice((-1, 0.1, 10, 1e6))
    number = rng.choice((*NUMBERS, int(value) + 1, int(value) - 1, int(value) * 2, int(value) // 2))
    bits = int("".join(filter(str.isdigit, kind)) or 8)
    number &= (1 << bits) - 1
    return (
        number - (1 << bits)
        if not kind.startswith("u") and number >> (bits - 1) and kind != "byte"
        else number
    )


def _text(rng: Random, value: str) -> str:
    text = rng.choice((*TEXTS[:-1], value[:-1], value.upper(), value * 2, value + "; "))
    return text.replace("\0", "")


def _numbers(rng: Random, kind: str, values: Any, *, fixed: bool) -> Any:
    values = values.copy()
    choice = rng.randrange(2 if fixed else 6)
    if choice == 0 and len(values):
        with np.errstate(all="ignore"):
            values[rng.randrange(len(values))] = _base(rng, kind, values[0])
    elif choice == 1:
        values[...] = rng.choice((0, 1, 255 if kind == "uint8" else 100))
    elif choice == 2:
        values = values[: rng.randrange(len(values) + 1)]
    elif choice == 3:
        values = np.concatenate([values, values[: rng.choice((1, 7, _MOST_ITEMS))]])
    elif choice == 4:
        values = values[:0]
    else:
        values = np.frombuffer(rng.randbytes(8 * rng.randrange(1, 200)), np.uint8).astype(values.dtype)
    return values


def _list(rng: Random, store: Any, items: Any, values: list[Any], *, fixed: bool) -> Any:
    choice = rng.randrange(1 if fixed else 4)
    if choice == 0 and values:
        at = rng.randrange(len(values))
        values[at] = _changed(rng, store, items, values[at])
    elif choice == 1 and values:
        del values[rng.randrange(len(values))]
    elif choice == 2 and values:
        values += [copy.deepcopy(rng.choice(values)) for _ in range(rng.choice((1, 2, 30, 1100)))]
    elif choice == 3 and items[0] == Nodetype.BASE:
        values.append(_base(rng, items[1][0], "a" if items[1][0] == "string" else 0))
    return values
