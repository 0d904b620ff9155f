"""Registers mask proposers: ONNX files of the SAM family under a name, in the cache beside custom models."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perception_contrast.core.cache import atomic_write, cache_dir
from perception_contrast.core.errors import ModelError
from perception_contrast.models.custom_models import checked_name, custom_model_folder
from perception_contrast.models.licences import UNKNOWN_LICENCE
from perception_contrast.segmentation.sam.load_mask_proposer import load_mask_proposer

LIKE = "sam"  # the family's name for `models add --like`
_CARD = "proposals.json"


@dataclass(frozen=True)
class RegisteredProposer:
    """Files of a mask proposer in the cache.

    Attributes:
        name: that it was registered under.
        files: one or two.
        licence: of their weights, as it was given.
    """

    name: str
    files: tuple[Path, ...]
    licence: str


def register_proposer(
    name: str, files: Sequence[Path], licence: str = "", folder: Path | None = None
) -> RegisteredProposer:
    """Copies files to the cache under a name, in the place of earlier ones.

    They are run once on the CPU before, so that files that do not fit are never copied.

    Args:
        name: with the characters of a model's name.
        files: one or two ONNX files.
        licence: of their weights.
        folder: of the cache; None: the default.

    Raises:
        ModelError: the files do not fit, or the name has other characters.
    """
    home = custom_model_folder(checked_name(name), folder or cache_dir())
    empty, box = np.zeros((48, 64, 3), np.uint8), np.array([[8, 8, 40, 40]], np.float32)
    load_mask_proposer(list(files), "cpu").propose(empty, box)
    try:
        kept = _copied(files, home)
        card = {"files": [path.name for path in kept], "licence": licence or UNKNOWN_LICENCE}
        atomic_write(home / _CARD, json.dumps(card).encode())
        for old in set(home.glob("*.onnx")) - set(kept):
            old.unlink()
    except OSError as error:
        raise ModelError(f"'{name}' could not be copied to {home}: {error}") from error
    return registered_proposer(name, folder)


def _copied(files: Sequence[Path], home: Path) -> list[Path]:
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".proposals-", dir=home.parent) as place:
        copies = [Path(place) / f"proposals-{number}.onnx" for number in range(len(files))]
        for source, copy in zip(files, copies, strict=True):
            shutil.copyfile(source, copy)
        try:
            load_mask_proposer(copies, "cpu")
        except ModelError as error:
            raise ModelError(
                f"{' and '.join(map(str, files))} cannot be copied alone: the weights lie in another file; "
                "save the model as one file"
            ) from error
        home.mkdir(exist_ok=True)
        return [copy.replace(home / copy.name) for copy in copies]


def registered_proposer(name: str, folder: Path | None = None) -> RegisteredProposer:
    """The mask proposer that was registered under a name.

    Raises:
        ModelError: none was; lists the names that are registered.
    """
    folder = folder or cache_dir()
    if name not in (there := registered_proposer_names(folder)):
        raise ModelError(
            f"there are no proposals '{name}'; there are {', '.join(there) or 'none yet'}. "
            f"Add ONNX files with `perception-contrast models add NAME FILE [FILE] --like {LIKE}`"
        )
    path = custom_model_folder(name, folder) / _CARD
    try:
        card = json.loads(path.read_text("utf-8"))
        # Names of files beside the card, whatever else may stand in it.
        files = tuple(path.with_name(Path(str(one)).name) for one in card["files"])
        return RegisteredProposer(name, files, str(card["licence"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} does not say what '{name}' is ({error}); add it again") from error


def registered_proposer_names(folder: Path | None = None) -> tuple[str, ...]:
    """The registered names, sorted."""
    return tuple(sorted(path.parent.name for path in ((folder or cache_dir()) / "local").glob(f"*/{_CARD}")))
