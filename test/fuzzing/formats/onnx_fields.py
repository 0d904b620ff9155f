"""Mutations of an ONNX file by the fields of its protocol buffers."""

from __future__ import annotations

from random import Random
from typing import Any

from google.protobuf.message import DecodeError, Message

from fuzzing.mutations import NUMBERS, TEXTS, changes, interesting_float, mutated


def mutated_onnx(rng: Random, data: bytes) -> bytes:
    """One to eight fields changed, dropped or repeated, in a file that protocol buffers can read."""
    import onnx

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
        for _ in range(changes(rng)):
            _change(rng, model)
        return bytes(model.SerializeToString())
    except (DecodeError, ValueError, TypeError):
        return data


def _change(rng: Random, message: Message) -> None:
    fields = message.ListFields()
    if not fields:
        return
    field, value = rng.choice(fields)
    if hasattr(value, "append") or hasattr(value, "add"):
        _repeated(rng, field, value)
    elif isinstance(value, Message):
        _change(rng, value) if rng.random() < 0.95 else message.ClearField(field.name)
    elif rng.random() < 0.1:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _scalar(rng, value))


def _repeated(rng: Random, field: Any, values: Any) -> None:
    at, action = rng.randrange(len(values)), rng.randrange(8)
    if action == 0:
        del values[at]
    elif action == 1:
        values.append(values[at])
    elif isinstance(values[at], Message):
        _change(rng, values[at])
    else:
        values[at] = _scalar(rng, values[at])


def _scalar(rng: Random, value: Any) -> Any:
    if isinstance(value, bytes):
        return mutated(rng, value, b"")
    if isinstance(value, str):
        return rng.choice((*TEXTS[:-1], value[:-1], value * 2))
    if isinstance(value, float):
        return interesting_float(rng)
    number = rng.choice((*NUMBERS, value + 1, value - 1))
    return rng.choice((number, -number, rng.randrange(24)))
