"""What the classes are called and by which phrases they are asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from perception_contrast.errors import PerceptionError
from perception_contrast.language.vocabulary import Query, Vocabulary, parse_queries

FILES = (
    "classes.txt",
    "classes.yaml",
    "classes.yml",
    "classes.json",
    "names.txt",
    "names.yaml",
    "names.json",
)
_SUFFIXES = (".txt", ".yaml", ".yml", ".json")


def queries_of(text: str) -> tuple[Query, ...]:
    """``"a, b: phrase; phrase"``, or the path of a file that ``queries_in`` reads. Raises PerceptionError."""
    path = Path(text)
    if path.suffix in _SUFFIXES:
        return queries_in(path)
    return _checked(parse_queries(text.split(",")), text)


def queries_beside(folder: Path) -> tuple[Query, ...] | None:
    """Those of the class list in a folder (one of FILES), None if there is no such file."""
    found = [folder / name for name in FILES if (folder / name).is_file()]
    return queries_in(found[0]) if found else None


def queries_in(path: Path) -> tuple[Query, ...]:
    """Classes in order from a file.

    Text: a line each, ``label`` or ``label: phrase; phrase``. YAML or JSON: a list of such lines, numbers
    (0, 1, ...) to labels, or labels to lists of phrases. Raises PerceptionError.
    """
    try:
        text = path.read_text()
        if path.suffix == ".txt":
            return _checked(parse_queries(text.splitlines()), str(path))
        stored: Any = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        line = " ".join(str(error).split())
        raise PerceptionError(f"the class list '{path}' cannot be read: {line}") from error
    return _checked(_from(stored, path), str(path))


def _from(stored: Any, path: Path) -> tuple[Query, ...]:
    if isinstance(stored, dict) and stored and all(str(key).isdecimal() for key in stored):
        numbered = {int(key): str(value) for key, value in stored.items()}
        if sorted(numbered) != list(range(len(numbered))):
            raise PerceptionError(f"the numbers in '{path}' must be 0 to {len(numbered) - 1} without gaps")
        return parse_queries(numbered[number] for number in sorted(numbered))
    if isinstance(stored, dict):
        return tuple(Query(str(label), _phrases(given, path)) for label, given in stored.items())
    if isinstance(stored, list):
        return parse_queries(str(line) for line in stored)
    raise PerceptionError(f"the class list '{path}' is neither a list nor a mapping; give one label a line")


def _phrases(given: Any, path: Path) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str):
        return (given,)
    if isinstance(given, list):
        return tuple(str(phrase) for phrase in given)
    raise PerceptionError(f"'{given}' in '{path}' is no list of phrases")


def _checked(queries: tuple[Query, ...], source: str) -> tuple[Query, ...]:
    """What a vocabulary accepts, and at least one."""
    if not queries:
        raise PerceptionError(f"'{source}' names no class; give for example \"road, car: car; van\"")
    return Vocabulary().with_queries(queries).queries
