"""The sets of labelled photographs that a recipe names: opened, told, and written down."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.photographs.base import PhotoSet
from perception_contrast_training.photographs.naming import Naming, load_naming
from perception_contrast_training.photographs.open_photos import open_photos
from perception_contrast_training.photographs.splits import Part, part_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingSets:
    """Sets of photographs.

    Attributes:
        sets: By their paths.
        naming: What their labels mean.
        learned_from: A line of JSON for a head's file: sets, counts and licences.
    """

    sets: Mapping[Path, PhotoSet]
    naming: Naming
    learned_from: str

    @property
    def names(self) -> frozenset[str]:
        """Names of everything that the sets label."""
        return frozenset(name for one in self.sets.values() for name in one.facts.names)

    @property
    def words(self) -> tuple[str, ...]:
        """Every word that is true of something that the sets label: names, synonyms and wider words."""
        return tuple(word for name in sorted(self.names) for word in self.naming.true_words(name))

    def keys(self, path: Path, part: Part) -> tuple[str, ...]:
        """Keys of the photographs of one set that belong to a part."""
        source = self.sets[path]
        return part_of(source.facts.name, source.keys, part)

    def made_of(self) -> dict[str, object]:
        """What shards of these sets depend on."""
        return {one.facts.name: len(one.keys) for one in self.sets.values()}


class NamedSets(Protocol):
    """The part of a recipe that names sets; arguments of ``open_training_sets``."""

    @property
    def paths(self) -> Sequence[str]: ...

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def licences(self) -> Sequence[str]: ...


def sets_of(settings: NamedSets) -> TrainingSets | None:
    """The sets that a recipe names, None where it names none. Raises PerceptionError as they are opened."""
    if not settings.paths:
        return None
    return open_training_sets(settings.paths, settings.names, settings.licences)


def open_training_sets(
    paths: Sequence[str], names: Sequence[str], licences: Sequence[str] = ()
) -> TrainingSets:
    """Opens sets, and logs how much of each is trained on and under which licence.

    Args:
        paths: Each a folder or file as ``open_photos`` reads it.
        names: Files of names beside the package's.
        licences: ``set: terms`` of sets whose folders do not tell.

    Raises:
        PerceptionError: A set cannot be read, two have one name, or terms are of none of them.
    """
    naming, skipped = load_naming([Path(name) for name in names]), Skipped()
    sets = {Path(path): open_photos(Path(path), naming, skipped=skipped) for path in paths}
    for reason in skipped.files.values():
        logger.warning("left out: %s", reason)
    _require_names_apart(sets.values())
    terms = _terms(licences, {one.facts.name for one in sets.values()})
    learned_from = []
    for path, one in sets.items():
        name, count = one.facts.name, len(part_of(one.facts.name, one.keys, "train"))
        licence = terms.get(name, one.facts.licence)
        logger.info(
            "%s: %d of %d photographs of '%s' to train on; licence: %s",
            name, count, len(one.keys), path, licence,
        )  # fmt: skip
        learned_from.append({"set": name, "photographs": count, "licence": licence})
    return TrainingSets(sets, naming, json.dumps(learned_from))


def _terms(licences: Sequence[str], names: Collection[str]) -> dict[str, str]:
    """Terms by set. Raises RecipeError for a line of another form or of another set."""
    found = {}
    for line in licences:
        name, colon, terms = (part.strip() for part in line.partition(":"))
        if not colon or not terms:
            raise RecipeError(f"photographs.licences takes lines of the form 'set: terms', not '{line}'")
        if name not in names:
            raise RecipeError(
                f"photographs.licences names the set '{name}'; the sets are {', '.join(sorted(names))}"
            )
        found[name] = terms
    return found


def _require_names_apart(sets: Collection[PhotoSet]) -> None:
    """Raises RecipeError for two sets of one name: their shards would be called alike."""
    names = [one.facts.name for one in sets]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(
                f"two of photographs.paths are called '{name}'; rename a folder or name one alone"
            )
