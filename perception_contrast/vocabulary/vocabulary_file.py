"""Vocabularies as YAML files, read and checked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from perception_contrast.core.errors import QueryError
from perception_contrast.core.plain_names import PLAIN_NAME_RULE, is_plain_name
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.vocabulary.vocabulary_folders import SUFFIX, named_vocabularies, user_folder

FILE_KEYS = ("description", "labels", "distractors")
LABEL_KEYS = ("label", "phrases", "negatives", "threshold")
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class VocabularyFile:
    """The content of a vocabulary file.

    Attributes:
        name: The file's name without suffix.
        description: One line for people.
        queries: The queries, checked and normalised (Unicode NFC).
        distractors: The distractors, checked and normalised.
        path: The file.
    """

    name: str
    description: str
    queries: tuple[Query, ...]
    distractors: tuple[str, ...]
    path: Path

    def extended(self, queries: Iterable[Query], distractors: Iterable[str]) -> VocabularyFile:
        """Adds queries and distractors.

        Args:
            queries: Each replaces the query of the same label, if there is one.
            distractors: More distractors.

        Returns:
            The extended vocabulary.
        """
        more = tuple(queries)
        labels = {query.label for query in more}
        kept = (query for query in self.queries if query.label not in labels)
        return replace(self, queries=(*kept, *more), distractors=(*self.distractors, *distractors))


def named_vocabulary(name: str) -> VocabularyFile:
    """Reads a vocabulary by its name.

    A path is refused, so that parameters and messages can safely give a name.

    Args:
        name: Name of a vocabulary of the package or of the user.

    Returns:
        The vocabulary.

    Raises:
        QueryError: It is not a plain name, it is unknown, or its file is refused.
    """
    if not is_plain_name(name):
        raise QueryError(f"vocabulary {name[:80]!r} is not a name; {PLAIN_NAME_RULE}")
    known = named_vocabularies()
    if name not in known:
        raise QueryError(
            f"vocabulary '{name}' is not known{_nearest(name, known)}; known: {', '.join(known) or 'none'}. "
            f"Your own go to {user_folder()} as NAME{SUFFIX}"
        )
    return load_vocabulary(known[name])


def load_vocabulary(path_or_name: Path | str) -> VocabularyFile:
    """Reads a vocabulary file.

    Args:
        path_or_name: A path, or the name of a vocabulary (a string without slash and suffix).

    Returns:
        The vocabulary; a Detector takes its ``queries``.

    Raises:
        QueryError: The file cannot be read or breaks a rule. The message names the file, the line or label,
            and the remedy.
    """
    if isinstance(path_or_name, str) and not {"/", "\\", "."} & set(path_or_name):
        return named_vocabulary(path_or_name)
    path = Path(path_or_name)
    text = _text_of(path)
    try:
        _refuse_repeated_keys(yaml.compose(text, Loader=yaml.SafeLoader), path)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise QueryError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise QueryError(f"{path}: nested too deeply; a vocabulary is a list of labels") from error
    except (ValueError, OverflowError) as error:  # of PyYAML: 2024-13-45 is a date to it, and no such date is
        raise QueryError(
            f"{path}: not a value ({error}); put texts that look like dates in quotes"
        ) from error
    return _vocabulary_of(content, path)


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise QueryError(f"{path}: larger than {MOST_BYTES >> 20} MB; split it into several vocabularies")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise QueryError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise QueryError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error


def _refuse_repeated_keys(root: yaml.Node | None, path: Path) -> None:
    """YAML's loader keeps the last of two equal keys and says nothing."""
    # An alias is the node that it stands for: each is looked into once, however often it is named.
    waiting, known = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in known:
            continue
        known.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys = set[str]()
            for key, value in node.value:
                if str(key.value) in keys:
                    line = key.start_mark.line + 1
                    raise QueryError(f"{path}:{line}: '{key.value}' is given twice; merge the two")
                keys.add(str(key.value))
                waiting.append(value)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)


def _vocabulary_of(content: Any, path: Path) -> VocabularyFile:
    if not isinstance(content, dict):
        raise QueryError(f"{path}: not a mapping; it holds {', '.join(FILE_KEYS)}")
    _refuse_unknown(content, FILE_KEYS, str(path))
    description = content.get("description", "")
    if not isinstance(description, str):
        raise QueryError(f"{path}: 'description' is {_kind(description)}; it must be text")
    labels = content.get("labels")
    if not isinstance(labels, list) or not labels:
        raise QueryError(f"{path}: 'labels' must be a list of at least one label")
    queries = tuple(_queries_of(labels, path))
    distractors = _texts(content.get("distractors"), f"{path}: 'distractors'")
    try:
        checked = Vocabulary().with_queries(queries, distractors)
    except QueryError as error:
        raise QueryError(f"{path}: {error}") from error
    return VocabularyFile(path.stem, description.strip(), checked.queries, checked.distractors, path)


def _queries_of(labels: Iterable[Any], path: Path) -> Iterator[Query]:
    for number, entry in enumerate(labels, 1):
        given = {"label": entry} if isinstance(entry, str) else entry
        if not isinstance(given, dict) or not isinstance(given.get("label"), str):
            what = given.get("label") if isinstance(given, dict) else given
            raise QueryError(
                f"{path}: label {number} is {_kind(what)}; write a text, in quotes where YAML takes it for "
                "something else, or a mapping with 'label'"
            )
        where = f"{path}: label '{given['label']}'"
        _refuse_unknown(given, LABEL_KEYS, where)
        yield Query(
            given["label"],
            _texts(given.get("phrases"), f"{where}: 'phrases'"),
            threshold=_threshold(given.get("threshold"), where),
            negatives=_texts(given.get("negatives"), f"{where}: 'negatives'"),
        )


def _refuse_unknown(given: Mapping[Any, Any], known: tuple[str, ...], where: str) -> None:
    for key in given:
        if key not in known:
            raise QueryError(
                f"{where}: unknown key '{key}'{_nearest(str(key), known)}; valid keys: {', '.join(known)}"
            )


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise QueryError(f"{where} is {_kind(value)}; it must be a list of texts")
    for one in value:
        if not isinstance(one, str):
            raise QueryError(f"{where} holds {_kind(one)}; put it in quotes")
    return tuple(value)


def _threshold(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise QueryError(f"{where}: 'threshold' is {_kind(value)}; it must be a number between 0 and 1")
    try:
        return float(value)
    except OverflowError as error:
        raise QueryError(f"{where}: 'threshold' is far from what it must be, between 0 and 1") from error


def _kind(value: Any) -> str:
    """A value as a user would name it."""
    if value is None:
        return "empty"
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list"}
    name = names.get(
        type(value), "a mapping" if isinstance(value, dict) else "a date or another special value"
    )
    return f"{name} ({str(value)[:40]})" if isinstance(value, bool | int | float | str) else name


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""
