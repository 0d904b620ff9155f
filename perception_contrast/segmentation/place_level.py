"""The level of a place: from which probability names are reported there, by names that are certainly absent.

It needs no labels. It is kept for each embedding space and place, beside the calibrations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np

from perception_contrast.core.arrays import Float64Array
from perception_contrast.core.cache import atomic_write
from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.core.errors import ModelError
from perception_contrast.segmentation.calibration_files import calibration_path
from perception_contrast.segmentation.scoring.name_bank import read_names

ABSENT_NAMES_FILE = "absent_names.txt"
FORMAT = 1
MOST_FIRED = 0.05  # share of absent names that may be reported
LEAST_SHARE = 0.5  # of the model's own threshold: few frames say little of what others may hold
HIGHEST = 0.99
_ABOVE = 1e-3  # from the last probability that must not be reported to the level
_PLACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}")


@dataclass(frozen=True)
class PlaceLevel:
    """What the absent names reached in a place's frames.

    Attributes:
        space: embedding space of texts.
        place: its name, as the user calls it.
        scores: kind of scores, of ``calibration_files``.
        detection: probability from which regions of queries with texts are reported.
        facts: figures of the measurement, by name.
    """

    space: str
    place: str
    scores: str
    detection: float
    facts: Mapping[str, float] = field(default_factory=dict)


def absent_names() -> tuple[str, ...]:
    """Names of what no room and no street shows."""
    return read_names(resources.files(__package__).joinpath(ABSENT_NAMES_FILE).read_text("utf-8"))


def checked_place(place: str) -> str:
    """A place's name, which is part of a file's name.

    Raises:
        ModelError: it is not 1 to 64 letters, digits, spaces and ``_.-``.
    """
    if not _PLACE.fullmatch(place):
        raise ModelError(
            f"'{place[:80]}' is no name of a place; use 1 to 64 letters, digits, spaces, '_', '.' and '-', "
            "a letter or digit first"
        )
    return place


def level_at(
    highest: Float64Array,
    calibrated: float,
    most_fired: float = MOST_FIRED,
    least_share: float = LEAST_SHARE,
) -> float:
    """The lowest level at which at most a share of absent names is reported.

    Args:
        highest: (n,) highest probability of each absent name over all frames, 0 where none was found.
        calibrated: the model's own threshold.
        most_fired: that share.
        least_share: of the model's own threshold, below which the level does not go.
    """
    allowed = int(most_fired * len(highest))
    worst = float(np.sort(highest)[::-1][min(allowed, len(highest) - 1)])
    return float(np.clip(worst + _ABOVE, min(least_share * calibrated, HIGHEST), HIGHEST))


def place_level_path(space: str, place: str) -> Path:
    """The file in the cache of a space's level in a place. Raises ModelError for what is no name."""
    return calibration_path(space).with_suffix(".places") / f"{checked_place(place)}.json"


def write_place_level(path: Path, level: PlaceLevel) -> None:
    """Writes JSON atomically: readers see the old file or the whole new one."""
    atomic_write(path, (json.dumps({"format": FORMAT, **asdict(level)}, indent=1) + "\n").encode())


def read_place_level(path: Path) -> PlaceLevel:
    """Reads a file of ``write_place_level``.

    Raises:
        ModelError: the file is something else; it is left as it is.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            raise ValueError(f"its format is {stored['format']!r}, this version reads {FORMAT}")
        space, place, scores = (stored[key] for key in ("space", "place", "scores"))
        if not all(isinstance(name, str) for name in (space, place, scores)):
            raise ValueError("a name is not text")
        detection = float(stored["detection"])
        if not 0.0 < detection < 1.0:
            raise ValueError(f"its level is {detection}")
        return PlaceLevel(space, place, scores, detection, dict(stored["facts"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"the level of a place in '{path}' cannot be read ({error or type(error).__name__}); delete it, "
            "or make it anew with `perception-contrast calibrate --unlabelled`"
        ) from error


def measured_places(space: str) -> tuple[str, ...]:
    """Names of the places whose level is stored for a space."""
    return tuple(sorted(path.stem for path in calibration_path(space).with_suffix(".places").glob("*.json")))


def no_place_level(space: str, place: str) -> str:
    """A sentence that says that a place's level was never measured, and how to measure it."""
    known = ", ".join(measured_places(space)) or "none"
    return (
        f"no level of '{place}' was measured for {space} (measured places: {known}); measure it by "
        f"`perception-contrast calibrate --unlabelled FRAMES --place '{place}'` with the same models"
    )


def place_level_for(space: str, place: str, scores: str) -> PlaceLevel | None:
    """The stored level of a space in a place, None where none was measured.

    Raises:
        ModelError: the file is corrupt or of other scores, or the place's name is none.
        SpaceError: the file is of another space.
    """
    path = place_level_path(space, place)
    if not path.exists():
        return None
    level = read_place_level(path)
    require_same_space(level.space, space, f"'{path}' and the language model")
    if level.scores != scores:
        raise ModelError(
            f"the level of '{place}' was measured with other scores ({level.scores}) than this version gives "
            f"({scores}); delete '{path}', or make it anew with `perception-contrast calibrate --unlabelled`"
        )
    return level
