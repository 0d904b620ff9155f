"""Calibrations fitted on one's own data: files that name the space they hold for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from perception_contrast.core.cache import atomic_write, cache_dir
from perception_contrast.core.errors import ModelError
from perception_contrast.core.spaces import require_same_space
from perception_contrast.segmentation.calibration import FEATURES, Calibration

FORMAT = 1
METHODS = ("platt", "isotonic")


@dataclass(frozen=True)
class StoredCalibration:
    """A calibration of words, the space and the method it was fitted for, and what was measured then."""

    space: str
    method: str
    words: Calibration
    facts: Mapping[str, float | str] = field(default_factory=dict)


def calibration_path(space: str) -> Path:
    """Where the nodes look for the calibration of a space, in the cache."""
    return cache_dir() / "calibrations" / f"{re.sub(r'[^A-Za-z0-9.@_-]', '_', space)}.json"


def write_calibration(path: Path, stored: StoredCalibration) -> None:
    """As JSON; readers see the old file or the whole new one."""
    members = {"format": FORMAT, "features": FEATURES, **asdict(stored)}
    atomic_write(path, (json.dumps(members, indent=1) + "\n").encode())


def read_calibration(path: Path) -> StoredCalibration:
    """Raises ModelError for a file that ``write_calibration`` did not write, and leaves it as it is."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            raise ValueError(f"its format is {stored['format']!r}, this version reads {FORMAT}")
        if stored["features"] != list(FEATURES):
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
    """The one in ``path``; without a path the one that the cache has for the space, or None.

    Raises ModelError for a corrupt file, SpaceError for one of another space.
    """
    if path is None:
        path = calibration_path(space)
        if not path.exists():
            return None
    stored = read_calibration(path)
    require_same_space(stored.space, space, f"calibration '{path}' and the language model")
    return stored
