"""What the classes are called and by which phrases they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.vocabulary import Query, Vocabulary, parse_queries
from perception_contrast.vocabulary.vocabulary_file import load_vocabulary
from perception_contrast.vocabulary.vocabulary_folders import named_vocabularies

LISTS = ("classes.txt", "classes.yaml", "classes.yml", "classes.json")
_SUFFIXES = (".txt", ".yaml", ".yml", ".json")


def vocabulary_of(text: str) -> Vocabulary:
    """``"a, b: phrase; phrase"``, the name of a vocabulary, or the path of a file that ``vocabulary_in``
    reads. Raises PerceptionError."""
    if Path(text).suffix in _SUFFIXES:
        return vocabulary_in(Path(text))
    if text in named_vocabularies():
        named = load_vocabulary(text)
        return Vocabulary().with_queries(named.queries, named.distractors)
    return _checked(parse_queries(text.split(",")), text)


def vocabulary_beside(folder: Path) -> Vocabulary | None:
    """That of the class list in a folder (one of LISTS), None if there is no such file."""
    found = [folder / name for name in LISTS if (folder / name).is_file()]
    return vocabulary_in(found[0]) if found else None


def vocabulary_in(path: Path) -> Vocabulary:
    """Classes in order from a file.

    Text: a line each, ``label`` or ``label: phrase; phrase``. YAML or JSON: a list of such lines, numbers
    (0, 1, ...) to labels, or a vocabulary as ``load_vocabulary`` reads them. Raises PerceptionError.
    """
    try:
        text = path.read_text("utf-8-sig")
        stored: Any = _lines(text, path) if path.suffix == ".txt" else yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        line = " ".join(str(error).split())
        raise PerceptionError(f"the class list '{path}' cannot be read: {line}") from error
    if isinstance(stored, dict) and stored and all(str(key).isdecimal() for key in stored):
        return _checked(parse_queries(_numbered(stored, path)), str(path))
    if isinstance(stored, list):
        return _checked(parse_queries(_texts(stored, path)), str(path))
    loaded = load_vocabulary(path)
    return Vocabulary().with_queries(loaded.queries, loaded.distractors)


def _lines(text: str, path: Path) -> list[str]:
    """Lines up to the last with a name; a line's number is that of its class, so none may be empty."""
    lines = text.rstrip().splitlines()
    for number, line in enumerate(lines):
        if not line.strip():
            raise PerceptionError(
                f"line {number + 1} of the class list '{path}' is empty; write any name there, "
                f"and --ignore {number} if the class does not count"
            )
    return lines


def _texts(stored: Iterable[Any], path: Path) -> list[str]:
    """The lines of a list. YAML takes ``no`` for a truth value, and nothing at all for one too."""
    for one in stored:
        if not isinstance(one, str) or not one.strip():
            raise PerceptionError(
                f"the class list '{path}' holds {one!r}; each class is a text, in quotes where YAML takes it "
                "for something else"
            )
    return list(stored)


def _numbered(stored: dict[Any, Any], path: Path) -> list[str]:
    labels = dict(zip(map(int, stored), _texts(stored.values(), path), strict=True))
    if sorted(labels) != list(range(len(labels))):
        raise PerceptionError(f"the numbers in '{path}' must be 0 to {len(labels) - 1} without gaps")
    return [labels[number] for number in sorted(labels)]


def _checked(queries: tuple[Query, ...], source: str) -> Vocabulary:
    """What a vocabulary accepts, and at least one."""
    if not queries:
        raise PerceptionError(f"'{source}' names no class; give for example \"road, car: car; van\"")
    return Vocabulary().with_queries(queries)
