"""Which words are true, false or unknown of a labelled region: data sets name one thing in many ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import yaml

from perception_contrast.core.errors import PerceptionError

NAMES_FILE = Path(__file__).with_name("names.yaml")
_FIELDS = ("also", "is", "like")


class Truth(IntEnum):
    """What is known of a word: UNKNOWN neither trains nor counts."""

    UNKNOWN = -1
    FALSE = 0
    TRUE = 1


@dataclass(frozen=True)
class _Entry:
    also: tuple[str, ...] = ()
    wider: tuple[str, ...] = ()
    like: tuple[str, ...] = ()


class Naming:
    """Names, their synonyms, wider words, and names that people give to the same thing now and then.

    Attributes:
        names: Every name, in the order of the files.
    """

    def __init__(self, entries: Mapping[str, _Entry]) -> None:
        """Takes entries by name; ``load_naming`` reads them."""
        self._entries = dict(entries)
        self.names = tuple(entries)
        self._called: dict[str, set[str]] = {}
        for name, entry in entries.items():
            for word in (name, *entry.also):
                self._called.setdefault(word, set()).add(name)
        self._wider = {name: self._above(name) for name in entries}
        self._meant: dict[str, set[str]] = {word: set(names) for word, names in self._called.items()}
        for name, words in self._wider.items():
            for word in words:
                self._meant.setdefault(word, set()).add(name)
        self._like: dict[str, set[str]] = {name: set() for name in entries}
        for name, entry in entries.items():
            for word in entry.like:
                for other in self._called.get(word, {word}):
                    self._like[name].add(other)
                    self._like.setdefault(other, set()).add(name)

    @property
    def words(self) -> tuple[str, ...]:
        """Every word that names something, wider words among them."""
        return tuple(self._meant)

    def knows(self, word: str) -> bool:
        """Whether a word is in the list."""
        return word in self._meant

    def meant(self, word: str) -> frozenset[str]:
        """The names of which a word is true."""
        return frozenset(self._meant.get(word, ()))

    def canonical(self, label: str) -> str:
        """The name of a label; the label itself where it is in no line, or in several."""
        word = " ".join(label.strip().lower().replace("_", " ").split())
        for form in (word, *_singular(word)):
            if form in self._entries:
                return form
            if len(names := self._called.get(form, set())) == 1:
                return next(iter(names))
        return word

    def synonyms(self, name: str) -> tuple[str, ...]:
        """Other words that are true of a name and of no other name."""
        entry = self._entries.get(name, _Entry())
        return tuple(word for word in entry.also if self._meant[word] == {name})

    def true_words(self, name: str) -> tuple[str, ...]:
        """The name, its synonyms and its wider words."""
        kind = self._kind(name)
        entry = self._entries.get(kind, _Entry())
        return tuple(dict.fromkeys((name, kind, *entry.also, *sorted(self._wider.get(kind, ())))))

    def truth(self, label: str, word: str) -> Truth:
        """Whether a word is true of a region.

        Args:
            label: The region's name, as ``canonical`` gives it.
            word: Any noun.

        Returns:
            TRUE for the name itself, its synonyms and wider words. UNKNOWN for words of which the label is
            itself a wider word, for names that the lists call alike, and for words of no list. Else FALSE.
        """
        if word == label:
            return Truth.TRUE
        label, meant = self._kind(label), self._meant.get(word, set())
        if label in meant:
            return Truth.TRUE
        if not meant or label not in self._entries:
            return Truth.UNKNOWN
        if any(self._open(label, name) for name in meant):
            return Truth.UNKNOWN
        return Truth.FALSE

    def _kind(self, label: str) -> str:
        """A label of no line is of the kind that its last words name: a beef tomato is a tomato."""
        words = label.split()
        for start in range(len(words)):
            if (name := self.canonical(" ".join(words[start:]))) in self._entries:
                return name
        return label

    def _open(self, label: str, name: str) -> bool:
        """Whether a thing of the label could be called by another name."""
        if label in self._wider.get(name, ()):
            return True
        own, other = (
            {one, *(w for w in self._wider.get(one, ()) if w in self._entries)} for one in (label, name)
        )
        # What is like a chair may be any kind of chair; what is like furniture says nothing.
        return any(two in self._like.get(one, ()) for one in own for two in other)

    def _above(self, name: str) -> set[str]:
        """Wider words of a name, those of its wider words among them."""
        found: set[str] = set()
        todo = list(self._entries[name].wider)
        while todo:
            word = todo.pop()
            if word in found or word == name:
                continue
            found.add(word)
            for other in self._called.get(word, ()):
                todo.extend((other, *self._entries[other].wider))
        return found - {name}


def load_naming(more: Iterable[Path] = ()) -> Naming:
    """The package's names with those of files of the same form; a later line replaces an earlier one.

    Args:
        more: YAML files of one's own.

    Raises:
        PerceptionError: A file cannot be read, or a line has an unknown field.
    """
    entries: dict[str, _Entry] = {}
    for path in (NAMES_FILE, *more):
        entries |= _read(path)
    return Naming(entries)


def _read(path: Path) -> dict[str, _Entry]:
    try:
        stored = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise PerceptionError(f"the names '{path}' cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(stored, dict):
        raise PerceptionError(f"the names '{path}' are no mapping of names; see {NAMES_FILE.name}")
    return {_text(name, path): _entry(name, fields, path) for name, fields in stored.items()}


def _entry(name: str, fields: Any, path: Path) -> _Entry:
    fields = {} if fields is None else fields
    if not isinstance(fields, dict) or set(fields) - set(_FIELDS):
        raise PerceptionError(f"'{name}' in '{path}' takes the fields {', '.join(_FIELDS)} alone")
    also, wider, like = (tuple(_text(word, path) for word in fields.get(key) or ()) for key in _FIELDS)
    return _Entry(also, wider, like)


def _text(word: Any, path: Path) -> str:
    if not isinstance(word, str) or not word.strip():
        raise PerceptionError(f"'{path}' holds {word!r} where a word belongs; put it in quotes")
    return word.strip().lower()


def _singular(word: str) -> tuple[str, ...]:
    """Forms without a plural's ending."""
    if word.endswith("ies"):
        return (word[:-3] + "y",)
    if word.endswith(("ches", "shes", "xes", "sses")):
        return (word[:-2],)
    return (word[:-1],) if word.endswith("s") and not word.endswith("ss") else ()
