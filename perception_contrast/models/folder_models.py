"""Models in a folder that `train export` wrote: weights, and a card ``model.json`` that says what they are.

Models that a user added to the cache under a name are in ``custom_models``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import ModelError
from perception_contrast.core.plugins import TEXT_TOWERS as TOWERS_OF_OTHERS
from perception_contrast.core.plugins import registered_names
from perception_contrast.models.custom_models import checked_name
from perception_contrast.models.specs import Family, ModelSpec, Triple, WordsSpec

CARD, WEIGHTS, WORDS = "model.json", "model.safetensors", "words.safetensors"
TEXT_TOWERS = ("transformer", "minilm", TEACHER := "teacher")
_OF_STUDENTS = ("teacher", "teacher_space")  # what cards of before do not have
_MOST = 1 << 20
"""Beyond any size, width or mean that a model has."""

FORMAT, VERSION = "perception_contrast model", 1


def is_folder_name(name: str) -> bool:
    """Whether a model is named by a path: that begins with "/", "." or "~", or leads to a folder."""
    return name.startswith(("/", ".", "~")) or ("/" in name and Path(name).is_dir())


@dataclass(frozen=True)
class _Card:
    stored: dict[str, Any]
    path: Path

    def value(self, key: str, kind: type | tuple[type, ...]) -> Any:
        found = self.stored.get(key)
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is int):
            raise ModelError(
                f"{self.path} does not say what the model is: '{key}' is {found!r}; export it again"
            )
        return found

    def count(self, key: str) -> int:
        found: int = self.value(key, int)
        if not 1 <= found <= _MOST:
            raise ModelError(f"{self.path}: '{key}' is {found}, not from 1 to {_MOST}; export it again")
        return found

    def triple(self, key: str) -> Triple:
        found = self.value(key, list)
        if len(found) != 3 or not all(isinstance(one, int | float) and abs(one) <= _MOST for one in found):
            raise ModelError(f"{self.path}: '{key}' is {found!r}, not three numbers; export it again")
        return float(found[0]), float(found[1]), float(found[2])

    def options(self) -> tuple[tuple[str, Any], ...]:
        found = self.value("options", dict)
        for key, value in found.items():
            if not isinstance(value, int | float | str):
                raise ModelError(
                    f"{self.path}: option '{key}' is {value!r}, not a number or a text; export it again"
                )
        return tuple(sorted(found.items()))


def folder_model(folder: Path) -> ModelSpec:
    """The spec of the model in ``folder``. Its weights are checked when they are loaded.

    Raises:
        ModelError: The folder holds no model, its card cannot be read, or its weights are missing.
    """
    card_path = folder / CARD
    if not card_path.is_file():
        raise ModelError(
            f"'{folder}' is no model: it has no {CARD}; name a folder that "
            "`perception-contrast train export` wrote"
        )
    try:
        stored = json.loads(card_path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{card_path} cannot be read ({error}); export the model again") from error
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise ModelError(
            f"{card_path} is no card of a model; export it with `perception-contrast train export`"
        )
    if stored.get("version") != VERSION:
        raise ModelError(
            f"{card_path} has version {stored.get('version')}, and {VERSION} is understood; export it again"
        )
    return _spec(_Card(stored, card_path), folder)


def _spec(card: _Card, folder: Path) -> ModelSpec:
    family = card.value("family", str)
    if family not in get_args(Family) or family in ("lit", "text", "plugin"):
        raise ModelError(f"{card.path}: family '{family}' cannot be served from a folder")
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(f"there is no weights file {weights}; export the model again")
    return ModelSpec(
        name=checked_name(card.value("model", str)),
        family=family,
        arch=card.value("arch", str),
        patch=card.count("patch"),
        dim=card.count("dim"),
        size=card.count("size"),
        mean=card.triple("mean"),
        std=card.triple("std"),
        licence=card.value("licence", str),
        description=card.value("description", str),
        millions=float(card.value("millions", (int, float))),
        options=card.options(),
        file=str(weights),
        sha256=card.value("sha256", str),
        beside=_beside(card, folder),
        words=_words(card),
    )


def _beside(card: _Card, folder: Path) -> tuple[tuple[str, str], ...]:
    stored = card.value("beside", dict) if "beside" in card.stored else {}
    for name, sha256 in stored.items():
        if not isinstance(sha256, str) or Path(name).name != name:
            raise ModelError(
                f"{card.path}: 'beside' is {stored!r}, not files and their sha256; export it again"
            )
        if not (folder / name).is_file():
            raise ModelError(f"there is no file {folder / name}; export the model again")
    return tuple(sorted(stored.items()))


def _words(card: _Card) -> WordsSpec | None:
    if card.stored.get("words") is None:
        return None
    inner = _Card(card.value("words", dict), card.path)
    kinds = get_type_hints(WordsSpec)
    given = [
        one.name for one in fields(WordsSpec) if one.name in inner.stored or one.name not in _OF_STUDENTS
    ]
    words = WordsSpec(**{name: inner.value(name, kinds[name]) for name in given})
    if words.tower not in TEXT_TOWERS and words.tower not in registered_names(TOWERS_OF_OTHERS):
        known = ", ".join((*TEXT_TOWERS, *registered_names(TOWERS_OF_OTHERS)))
        raise ModelError(
            f"{card.path}: text tower '{words.tower}' is not known; there are {known}; install the package "
            "that it comes from"
        )
    if words.tower != TEACHER and words.file not in card.stored.get("beside", {}):
        raise ModelError(
            f"{card.path}: the words' file '{words.file}' is not among 'beside'; export it again"
        )
    return words


def write_card(folder: Path, spec: ModelSpec, sha256: str) -> None:
    """Writes the card that ``folder_model`` reads. sha256: of the weights file; others are in ``spec``."""
    stored: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "model": spec.name,
        "family": spec.family,
        "arch": spec.arch,
        "options": dict(spec.options),
        "patch": spec.patch,
        "dim": spec.dim,
        "size": spec.size,
        "mean": list(spec.mean),
        "std": list(spec.std),
        "licence": spec.licence,
        "description": spec.description,
        "millions": spec.millions,
        "sha256": sha256,
    }
    if spec.beside:
        stored["beside"] = dict(spec.beside)
    if spec.words is not None:
        stored["words"] = asdict(spec.words)
    atomic_write(folder / CARD, (json.dumps(stored, indent=2) + "\n").encode())
