"""NYU Depth V2 (Silberman et al., ECCV 2012): 1,449 labelled images of homes, shops and offices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.evaluation.libraries import evaluation_library
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.photographs.base import LabelledPhoto, SetFacts, numbered
from perception_contrast_training.photographs.label_folder import LabelFolderPhotos, class_name, class_texts
from perception_contrast_training.photographs.naming import Naming

LICENCE = "no formal licence; for research"
MAT_FILE = "nyu_depth_v2_labeled.mat"
# Names of the set that are misspelt, or say in its own way what names.yaml has a name for.
SPELLINGS = {
    "refridgerator": "refrigerator", "desser": "dresser", "trolly": "cart", "excercise equipment":
    "exercise equipment", "excercise ball": "exercise ball", "mailshelf": "mail shelf",
    "stacked chairs": "chair",
    "file": "folder", "wooden pillar": "column", "wall divider": "room divider", "door way": "door",
    "door way arch": "door frame", "clothing washer": "washing machine", "clothing dryer": "clothes dryer",
    "clothing hamper": "laundry basket", "clothing drying rack": "drying rack", "cloth drying stand":
    "drying rack", "iron box": "iron", "iron grill": "grill", "baby chair": "high chair",
    "shower tube": "shower head", "toys shelf": "toy shelf", "toys rack": "toy shelf", "bottle of ketchup":
    "bottle", "cat cage": "pet cage", "door curtain": "curtain",
    "reflection of window shutters": "reflection",
    "bin": "trash can", "glass": "drinking glass", "flipboard": "flip chart",
}  # fmt: skip


def nyu_facts(names: frozenset[str]) -> SetFacts:
    """What holds for the set with these names."""
    return SetFacts("nyuv2", LICENCE, names)


def nyu_name(text: str, naming: Naming) -> str:
    """The canonical name of a class of the set."""
    return class_name(SPELLINGS.get(text.strip(), text), naming)


class Nyuv2Photos:
    """The official ``nyu_depth_v2_labeled.mat``; read piece by piece, so memory stays small."""

    def __init__(self, file: Path, naming: Naming) -> None:
        """Opens the file. Raises PerceptionError where it cannot be read or h5py is missing."""
        self._file = file
        with self._opened() as stored:
            try:
                count, labelled = (stored[part].shape[0] for part in ("images", "labels"))
                named = ["".join(map(chr, stored[ref][:].ravel())) for ref in stored["names"][:].ravel()]
            except (KeyError, TypeError, ValueError, OSError) as error:
                raise PerceptionError(f"'{file}' is not {MAT_FILE} ({error}); fetch it again") from error
        if labelled != count:
            raise PerceptionError(f"'{file}' has {count} images but {labelled} labels; fetch it again")
        self._names = {number + 1: nyu_name(text, naming) for number, text in enumerate(named)}
        self.facts = nyu_facts(frozenset(self._names.values()))
        self.keys = tuple(f"{index + 1:04d}" for index in range(count))

    def photo(self, key: str) -> LabelledPhoto:
        """One photograph; keys count from 0001, as the official split does. Raises PerceptionError."""
        index = int(key) - 1
        with self._opened() as stored:
            # MATLAB stores columns first: (3, W, H) and (W, H).
            image = np.ascontiguousarray(stored["images"][index].transpose(2, 1, 0))
            labels = stored["labels"][index].T.astype(np.int64)
        return LabelledPhoto(key, image, *numbered(labels, self._names), self.facts)

    def _opened(self) -> Any:
        library = evaluation_library("h5py")
        try:
            return library.File(self._file, "r")
        except OSError as error:
            raise PerceptionError(f"'{self._file}' cannot be read ({error}); fetch it again") from error


def nyuv2_folder(folder: Path, naming: Naming, skipped: Skipped) -> LabelFolderPhotos:
    """The set as ``images/``, ``labels/`` and ``classes.json`` with names of its own spelling."""
    names = {number: nyu_name(text, naming) for number, text in class_texts(folder).items()}
    return LabelFolderPhotos(folder, naming, skipped, nyu_facts(frozenset(names.values())), names)
