"""A vocabulary with exemplars and mask ids as bytes, for a node to keep across restarts.

One safetensors file: vectors as tensors, texts as JSON in its header. Nothing in it is ever run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import UNLABELLED, Exemplar, Query, Vocabulary

FORMAT = "perception_contrast vocabulary 1"
_PARTS = ("vector", "centre", "parts", "context", "direction")
_NEGATIVE = "negative"  # in names of tensors
_MOST_HEADER = 1 << 26


def to_bytes(vocabulary: Vocabulary, note: Mapping[str, Any]) -> bytes:
    """Serialises a vocabulary.

    Args:
        vocabulary: Queries, exemplars, distractors, version and mask ids.
        note: Anything that JSON can hold, kept beside the vocabulary.

    Returns:
        The content of a safetensors file.
    """
    tensors: dict[str, NDArray[Any]] = {}
    queries = []
    for number, query in enumerate(vocabulary.queries):
        tensors |= _tensors(query.exemplars, f"{number}")
        tensors |= _tensors(query.negative_exemplars, f"{number}/{_NEGATIVE}")
        queries.append(
            {
                "label": query.label,
                "phrases": query.phrases,
                "negatives": query.negatives,
                "threshold": query.threshold,
                "spaces": [one.space for one in query.exemplars],
                "negative_spaces": [one.space for one in query.negative_exemplars],
            }
        )
    words = {
        "queries": queries,
        "distractors": vocabulary.distractors,
        "version": vocabulary.version,
        "ids": vocabulary.ids,
        "note": dict(note),
    }
    return bytes(save(tensors, {"format": FORMAT, "words": json.dumps(words)}))


def _tensors(exemplars: Sequence[Exemplar], prefix: str) -> dict[str, NDArray[Any]]:
    named = {
        f"{prefix}/{shown}/{part}": getattr(exemplar, part)
        for shown, exemplar in enumerate(exemplars)
        for part in _PARTS
    }
    return {
        name: np.ascontiguousarray(values, np.float32) for name, values in named.items() if values is not None
    }


def from_bytes(data: bytes) -> tuple[Vocabulary, dict[str, Any]]:
    """The vocabulary and the note that ``to_bytes`` was given. Raises QueryError for others."""
    try:
        words = json.loads(_header(data)["words"])
        tensors = load(data)
        queries = [_query(number, one, tensors) for number, one in enumerate(words["queries"])]
        ids = {str(label): int(number) for label, number in words["ids"].items()}
        if not all(0 < number < UNLABELLED for number in ids.values()) or len(set(ids.values())) != len(ids):
            raise ValueError("mask ids that cannot be")
        # The vocabulary's own rules hold for what comes out of a file as for what comes out of a message.
        checked = Vocabulary(ids=ids).with_queries(queries, words["distractors"])
        return Vocabulary(checked.queries, checked.distractors, int(words["version"]), checked.ids), dict(
            words["note"]
        )
    except (
        SafetensorError,
        ArithmeticError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        QueryError,
    ) as error:
        raise QueryError(f"not a stored vocabulary, or a damaged one ({error})") from error


def _header(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 0 < length <= min(len(data) - 8, _MOST_HEADER):
        raise ValueError("its header does not fit the file")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    if metadata.get("format") != FORMAT:
        raise ValueError(f"format '{metadata.get('format')}', not '{FORMAT}'")
    return dict(metadata)


def _query(number: int, words: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Query:
    # Files from before there were negative exemplars do not name them.
    negative_spaces = words.get("negative_spaces", ())
    threshold = words["threshold"]
    return Query(
        str(words["label"]),
        tuple(words["phrases"]),
        _exemplars(words["spaces"], f"{number}", tensors),
        None if threshold is None else float(threshold),
        tuple(words["negatives"]),
        _exemplars(negative_spaces, f"{number}/{_NEGATIVE}", tensors),
    )


def _exemplars(
    spaces: Sequence[object], prefix: str, tensors: Mapping[str, NDArray[Any]]
) -> tuple[Exemplar, ...]:
    return tuple(
        Exemplar(
            space=str(space),
            **{part: tensors.get(f"{prefix}/{shown}/{part}") for part in _PARTS},  # type: ignore[arg-type]
        )
        for shown, space in enumerate(spaces)
    )
