"""What the classes are called and by which phrases they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from perception_contrast.errors import PerceptionError
from perception_contrast.language.vocabulary import Query, Vocabulary, parse_queries
from perception_contrast.language.vocabulary_file import load_vocabulary
from perception_contrast.language.vocabulary_folders import named_vocabularies

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
        text = path.read_text()
        stored: Any = text.splitlines() if path.suffix == ".txt" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        line = " ".join(str(error).split())
        raise PerceptionError(f"the class list '{path}' cannot be read: {line}") from error
    if isinstance(stored, dict) and stored and all(str(key).isdecimal() for key in stored):
        return _checked(parse_queries(_numbered(stored, path)), str(path))
    if isinstance(stored, list):
        return _checked(parse_queries(str(line) for line in stored), str(path))
    loaded = load_vocabulary(path)
    return Vocabulary().with_queries(loaded.queries, loaded.distractors)


def _numbered(stored: dict[Any, Any], path: Path) -> list[str]:
    labels = {int(key): str(value) for key, value in stored.items()}
    if sorted(labels) != list(range(len(labels))):
        raise PerceptionError(f"the numbers in '{path}' must be 0 to {len(labels) - 1} without gaps")
    return [labels[number] for number in sorted(labels)]


def _checked(queries: tuple[Query, ...], source: str) -> Vocabulary:
    """What a vocabulary accepts, and at least one."""
    if not queries:
        raise PerceptionError(f"'{source}' names no class; give for example \"road, car: car; van\"")
    return Vocabulary().with_queries(queries)
