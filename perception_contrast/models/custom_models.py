"""Models that a user added with `models add`: a weights file under a name of its own.

Each is built like a model of the registry and lies in the cache. A model that has a folder of its own, as
`train export` writes one, is in ``folder_models``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from perception_contrast.core.cache import atomic_write, cache_dir
from perception_contrast.core.errors import ModelError
from perception_contrast.models.licences import UNKNOWN_LICENCE
from perception_contrast.models.specs import ModelSpec

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_CARD = "model.json"


def custom_model_folder(name: str, folder: Path) -> Path:
    """Where a model's local files lie in the cache ``folder``."""
    return folder / "local" / name


def checked_name(name: str) -> str:
    """The name, if it can be one of a model.

    Raises ModelError for one with other characters than a-z, 0-9, dot, dash and underscore.
    """
    if not _NAME.fullmatch(name):
        raise ModelError(f"'{name}' cannot name a model; use a-z, 0-9, '.', '-' and '_', 64 at most")
    return name


def custom_spec(like: ModelSpec, name: str, licence: str = "") -> ModelSpec:
    """The spec of a model with the architecture of ``like`` and weights of a local file alone.

    Raises ModelError for a name that cannot be one, as ``checked_name``.
    """
    return replace(
        like,
        name=checked_name(name),
        licence=licence or UNKNOWN_LICENCE,
        description=f"weights of your own for {like.name}",
        hub=None,
        wheel=None,
    )


def register_custom_model(spec: ModelSpec, like: str, folder: Path | None = None) -> None:
    """Writes the card by which ``custom_model`` finds the model. like: the model that it is built like."""
    card = {"like": like, "licence": spec.licence}
    atomic_write(custom_model_folder(spec.name, folder or cache_dir()) / _CARD, json.dumps(card).encode())


def custom_model(
    name: str, spec_of: Callable[[str], ModelSpec], folder: Path | None = None
) -> ModelSpec | None:
    """The spec of the model that was added under this name; None if there is none.

    Args:
        name: The model's name.
        spec_of: Gives the spec of the model that it is built like.
        folder: The cache folder; ``cache_dir()`` if None.

    Raises:
        ModelError: Its card cannot be read.
    """
    if not _NAME.fullmatch(name):
        return None
    path = custom_model_folder(name, folder or cache_dir()) / _CARD
    try:
        card = json.loads(path.read_text("utf-8"))
        like, licence = str(card["like"]), str(card["licence"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} does not say what model '{name}' is ({error}); add it again") from error
    return custom_spec(spec_of(like), name, licence)


def custom_model_names(folder: Path | None = None) -> tuple[str, ...]:
    """The names that models were added under, sorted."""
    return tuple(sorted(path.parent.name for path in ((folder or cache_dir()) / "local").glob(f"*/{_CARD}")))
