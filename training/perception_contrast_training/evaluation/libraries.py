"""Libraries that only the evaluation needs, loaded when a figure asks for them."""

from __future__ import annotations

import importlib
from typing import Any

from perception_contrast.core.errors import PerceptionError

FILES = {"trackeval": "tracks"}


def evaluation_library(module: str) -> Any:
    """The imported module; raises PerceptionError with the remedy where it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        file = f"requirements/{FILES.get(package, 'training')}.txt"
        raise PerceptionError(
            f"this figure needs '{error.name}', which is not installed; run `pip install -r {file}`"
        ) from error
