"""Files of calibrations that were fitted to a user's own data, each for one embedding space."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from perception_contrast.core.cache import atomic_write, cache_dir
from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.core.errors import ModelError
from perception_contrast.segmentation.calibration import FEATURES, OLDER_FEATURES, Calibration

FORMAT = 1
METHODS = ("platt", "isotonic")


@dataclass(frozen=True)
class StoredCalibration:
    """A fitted calibration of texts.

    Attributes:
        space: embedding space that it holds for.
        method: of the fit, one of METHODS.
        words: the calibration of queries with texts.
        facts: figures of the fit, by name.
    """

    space: str
    method: str
    words: Calibration
    facts: Mapping[str, float | str] = field(default_factory=dict)


def calibration_path(space: str) -> Path:
    """The file in the cache from which the nodes load the calibration of a space."""
    return cache_dir() / "calibrations" / f"{re.sub(r'[^A-Za-z0-9.@_-]', '_', space)}.json"


def write_calibration(path: Path, stored: StoredCalibration) -> None:
    """Writes JSON atomically: readers see the old file or the whole new one."""
    members = {"format": FORMAT, "features": FEATURES, **asdict(stored)}
    atomic_write(path, (json.dumps(members, indent=1) + "\n").encode())


def read_calibration(path: Path) -> StoredCalibration:
    """Reads a file of ``write_calibration``.

    Raises:
        ModelError: the file is something else; it is left as it is.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            raise ValueError(f"its format is {stored['format']!r}, this version reads {FORMAT}")
        if stored["features"] not in (list(FEATURES), list(OLDER_FEATURES)):
            raise ValueError(f"it was fitted to {stored['features']}, this version looks at {list(FEATURES)}")
        space, method = stored["space"], stored["method"]
        if not isinstance(space, str) or method not in METHODS:
            raise ValueError("it names no space or no known method")
        return StoredCalibration(space, method, Calibration.of(stored["words"]), dict(stored["facts"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"calibration '{path}' cannot be read ({error or type(error).__name__}); "
            "delete it, or make it anew with `perception-contrast calibrate`"
        ) from error


def calibration_for(space: str, path: Path | None = None) -> StoredCalibration | None:
    """The calibration of a space.

    Args:
        space: of the language model.
        path: a file; None: the file in the cache, if there is one.

    Raises:
        ModelError: the file is corrupt.
        SpaceError: the file is of another space.
    """
    if path is None:
        path = calibration_path(space)
        if not path.exists():
            return None
    stored = read_calibration(path)
    require_same_space(stored.space, space, f"calibration '{path}' and the language model")
    return stored
