"""Plain values with arrays as bytes: one safetensors file, so that nothing in it is ever run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

_ARRAY, _BYTES, _PAIRS = "$array", "$bytes", "$pairs"
_MARKS = (_ARRAY, _BYTES, _PAIRS)
_MOST_HEADER = 1 << 28


def pack(value: Any) -> bytes:
    """Serialises a value.

    Args:
        value: None, booleans, numbers, texts, bytes, arrays; lists, tuples, sets and dictionaries of them.

    Returns:
        A safetensors file: arrays and bytes as tensors, all else as JSON in its header.

    Raises:
        TypeError: The value holds something else.
    """
    tensors: dict[str, NDArray[Any]] = {}
    return bytes(save(tensors, {"value": json.dumps(_plain(value, tensors))}))


def unpack(data: bytes) -> Any:
    """The value that ``pack`` was given; tuples and sets come back as lists, numbers of NumPy as Python's.

    Raises:
        ValueError: The bytes are not of ``pack``.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        if len(data) < 8 or not 0 < length <= min(len(data) - 8, _MOST_HEADER):
            raise ValueError("its header does not fit")
        plain = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["value"])
        return _value(plain, load(data))
    except (SafetensorError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no packed value ({error})") from error


def _plain(value: Any, tensors: dict[str, NDArray[Any]]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {_ARRAY: _stored(value, tensors)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {_BYTES: _stored(np.frombuffer(value, np.uint8), tensors)}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value) and not any(mark in value for mark in _MARKS):
            return {key: _plain(one, tensors) for key, one in value.items()}
        return {_PAIRS: [[_plain(key, tensors), _plain(one, tensors)] for key, one in value.items()]}
    if isinstance(value, set | frozenset):
        return [_plain(one, tensors) for one in sorted(value)]
    if isinstance(value, list | tuple):
        return [_plain(one, tensors) for one in value]
    raise TypeError(f"a {type(value).__name__} cannot be stored")


def _stored(array: NDArray[Any], tensors: dict[str, NDArray[Any]]) -> str:
    name = str(len(tensors))
    tensors[name] = np.asarray(array, order="C")
    return name


def _value(plain: Any, tensors: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(plain, list):
        return [_value(one, tensors) for one in plain]
    if not isinstance(plain, dict):
        return plain
    if _ARRAY in plain:
        return tensors[plain[_ARRAY]]
    if _BYTES in plain:
        return tensors[plain[_BYTES]].tobytes()
    if _PAIRS in plain:
        return {_value(key, tensors): _value(one, tensors) for key, one in plain[_PAIRS]}
    return {key: _value(one, tensors) for key, one in plain.items()}
