"""Models of your own: a weights file under a new name, built like a model that is known."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from perception_contrast.core.cache import atomic_write, cache_dir
from perception_contrast.core.errors import ModelError
from perception_contrast.models.specs import UNKNOWN_LICENCE, ModelSpec

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_CARD = "model.json"


def own_home(name: str, folder: Path) -> Path:
    """Where a model's local files lie in the cache ``folder``."""
    return folder / "local" / name


def checked_name(name: str) -> str:
    """The name, if it can be one of a model.

    Raises ModelError for one with other characters than a-z, 0-9, dot, dash and underscore.
    """
    if not _NAME.fullmatch(name):
        raise ModelError(f"'{name}' cannot name a model; use a-z, 0-9, '.', '-' and '_', 64 at most")
    return name


def named(like: ModelSpec, name: str, licence: str = "") -> ModelSpec:
    """A model built like another, with weights from nowhere but a local file.

    Raises ModelError as ``checked_name``.
    """
    return replace(
        like,
        name=checked_name(name),
        licence=licence or UNKNOWN_LICENCE,
        description=f"weights of your own for {like.name}",
        hub=None,
        wheel=None,
    )


def remember(spec: ModelSpec, like: str, folder: Path | None = None) -> None:
    """Keeps what ``own_model`` needs to find the model again by its name."""
    card = {"like": like, "licence": spec.licence}
    atomic_write(own_home(spec.name, folder or cache_dir()) / _CARD, json.dumps(card).encode())


def own_model(name: str, spec_of: Callable[[str], ModelSpec], folder: Path | None = None) -> ModelSpec | None:
    """The model that was added under this name, if any. spec_of: of the model that it is built like.

    Raises ModelError if its card cannot be read.
    """
    if not _NAME.fullmatch(name):
        return None
    path = own_home(name, folder or cache_dir()) / _CARD
    try:
        card = json.loads(path.read_text("utf-8"))
        like, licence = str(card["like"]), str(card["licence"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} does not say what model '{name}' is ({error}); add it again") from error
    return named(spec_of(like), name, licence)


def own_names(folder: Path | None = None) -> tuple[str, ...]:
    """The names that models were added under, sorted."""
    return tuple(sorted(path.parent.name for path in ((folder or cache_dir()) / "local").glob(f"*/{_CARD}")))
