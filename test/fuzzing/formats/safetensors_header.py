"""Mutations of a safetensors file by its header."""

from __future__ import annotations

import json
from random import Random

from fuzzing.trees import mutated_tree


def mutated_header(rng: Random, data: bytes) -> bytes:
    """Names, types, shapes, places and metadata changed; the header's length holds."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        changed = json.dumps(mutated_tree(rng, header, header)).encode()
    except (ValueError, RecursionError):
        return data
    if rng.random() < 0.8:
        changed += b" " * (-len(changed) % 8)
    return len(changed).to_bytes(8, "little") + changed + data[8 + length :]


def mutated_words(rng: Random, data: bytes) -> bytes:
    """As ``mutated_header``, inside of the JSON text that the metadata holds under "words"."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        words = json.loads(header["__metadata__"]["words"])
        header["__metadata__"]["words"] = json.dumps(mutated_tree(rng, words, words))
        changed = json.dumps(header).encode()
    except (ValueError, RecursionError, KeyError, TypeError):
        return data
    changed += b" " * (-len(changed) % 8)
    return len(changed).to_bytes(8, "little") + changed + data[8 + length :]
