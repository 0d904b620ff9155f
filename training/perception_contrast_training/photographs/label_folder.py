"""Plain folders: ``images/``, ``labels/NAME.png`` with a class number in each pixel, and a class list."""

from __future__ import annotations

import json
from pathlib import Path

from perception_contrast.core.errors import PerceptionError, QueryError
from perception_contrast.core.vocabulary import checked_text
from perception_contrast.images.files import load_image
from perception_contrast_training.evaluation.readers.folders import labelled_pairs
from perception_contrast_training.evaluation.readers.label_files import read_labels
from perception_contrast_training.evaluation.readers.names import vocabulary_beside
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.photographs.base import LabelledPhoto, SetFacts, numbered
from perception_contrast_training.photographs.naming import Naming

OWN_TERMS = "terms of their owner"


class LabelFolderPhotos:
    """Photographs with label images.

    ``classes.json`` may map numbers to names with gaps; ``classes.txt`` and ``classes.yaml`` are as
    ``perception-contrast eval`` reads them. Names in brackets, such as ``(other)``, are no names.
    """

    def __init__(
        self,
        folder: Path,
        naming: Naming,
        skipped: Skipped,
        facts: SetFacts | None = None,
        names: dict[int, str] | None = None,
    ) -> None:
        """Reads the class list and the file names.

        Args:
            folder: With ``images/`` and ``labels/``.
            naming: Gives names their canonical form.
            skipped: Notes files that are left out.
            facts: Of the set; None for those of a folder of one's own: dense, unlabelled pixels are void.
            names: Class number to canonical name; None takes the class list.

        Raises:
            PerceptionError: A part is missing or cannot be read.
        """
        self._names = names or {k: class_name(text, naming) for k, text in class_texts(folder).items()}
        self.facts = facts or SetFacts(
            folder.name, OWN_TERMS, frozenset(self._names.values()), rest_is_other=False
        )
        self._pairs = {image.stem: (image, labels) for image, labels in labelled_pairs(folder, skipped)}
        self.keys = tuple(self._pairs)

    def photo(self, key: str) -> LabelledPhoto:
        """One photograph. Raises FrameError, or PerceptionError for labels that are none."""
        path, labels_path = self._pairs[key]
        image, labels = load_image(path), read_labels(labels_path)
        return LabelledPhoto(key, image, *numbered(labels, self._names), self.facts, path)


def class_texts(folder: Path) -> dict[int, str]:
    """Class number to what the class list of a folder calls it. Raises PerceptionError."""
    path = folder / "classes.json"
    if path.is_file():
        try:
            stored = json.loads(path.read_text("utf-8-sig"))
        except (OSError, ValueError) as error:
            raise PerceptionError(f"the class list '{path}' cannot be read: {error}") from error
        if isinstance(stored, dict) and stored and all(str(key).isdecimal() for key in stored):
            named = {int(key): str(name) for key, name in stored.items() if not str(name).startswith("(")}
            try:
                return {key: checked_text(name, "a name") for key, name in named.items()}
            except QueryError as error:
                raise PerceptionError(f"the class list '{path}': {error}") from error
    vocabulary = vocabulary_beside(folder)
    if vocabulary is None:
        raise PerceptionError(f"'{folder}' has no class list; write classes.txt there, a name a line")
    return {number: query.label for number, query in enumerate(vocabulary.queries)}


def class_name(text: str, naming: Naming) -> str:
    """The canonical name of a class; of synonyms, divided by ``;`` or ``,``, the first one known."""
    words = [word.strip() for word in text.replace(",", ";").split(";") if word.strip()]
    known = [word for word in words if naming.canonical(word) in naming.names]
    return naming.canonical((known or words or [text])[0])
