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

FORMAT = 2
METHODS = ("platt", "isotonic")
# The kinds of scores that a calibration can be fitted to.
COSINE_SCORES = "cosines by a fitted scale and bias"
CONTRAST_SCORES = "contrasts in a frame"
# Files of the first format name no kind: those of image-text models were fitted to scores of old.
UNNAMED_SCORES = "unnamed"


@dataclass(frozen=True)
class StoredCalibration:
    """A fitted calibration of texts.

    Attributes:
        space: embedding space that it holds for.
        method: of the fit, one of METHODS.
        words: the calibration of queries with texts.
        facts: figures of the fit, by name.
        scores: kind of the logits that it was fitted to.
    """

    space: str
    method: str
    words: Calibration
    facts: Mapping[str, float | str] = field(default_factory=dict)
    scores: str = COSINE_SCORES


def require_same_scores(stored: StoredCalibration, scores: str) -> None:
    """Refuses a calibration of another kind of scores than those of a model.

    Raises:
        ModelError: it is of another kind.
    """
    # A fitted head's scores are what they were when files did not name them.
    if (COSINE_SCORES if stored.scores == UNNAMED_SCORES else stored.scores) != scores:
        raise ModelError(
            f"the calibration stored for {stored.space} was fitted to other scores ({stored.scores}) than "
            f"this version gives ({scores}); delete it, or make it anew with `perception-contrast calibrate`"
        )


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
        if stored["format"] not in (1, FORMAT):
            raise ValueError(f"its format is {stored['format']!r}, this version reads 1 and {FORMAT}")
        if stored["features"] not in (list(FEATURES), list(OLDER_FEATURES)):
            raise ValueError(f"it was fitted to {stored['features']}, this version looks at {list(FEATURES)}")
        space, method = stored["space"], stored["method"]
        if not isinstance(space, str) or method not in METHODS:
            raise ValueError("it names no space or no known method")
        scores = UNNAMED_SCORES if stored["format"] == 1 else stored["scores"]
        if scores not in (UNNAMED_SCORES, COSINE_SCORES, CONTRAST_SCORES):
            raise ValueError(f"it was fitted to unknown scores, {scores!r}")
        words, facts = Calibration.of(stored["words"]), dict(stored["facts"])
        return StoredCalibration(space, method, words, facts, scores)
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
