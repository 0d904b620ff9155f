"""Which folders of images are classes: the one rule for training, held-out figures and `train evaluate`.

Folders often hold the images of a class each, and as often those of a day or a recording each. Figures of
classes that are days would measure the weather. So, by the rule ``auto``, the parts of a folder's path that
name a day, a time or a recording are no part of its class: images in ``2026-11-29/`` and ``run_001/`` have no
class, those in ``mug/run_001/`` are of class ``mug``. ``folders`` makes every folder a class, ``none`` none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

AUTO, FOLDERS, NONE = "auto", "folders", "none"
RULES = (AUTO, FOLDERS, NONE)

_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_MONTH_NAME = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    "oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
)
# With a number behind them they count recordings or their parts.
_COUNTED = (
    "bag|batch|cam|camera|capture|chunk|clip|day|drive|episode|experiment|flight|frames|lap|log|mission|part|"
    "rec|recording|ride|rosbag|run|scan|scene|seq|sequence|session|shard|shot|split|take|tour|trial|trip|"
    "vid|video|visit|walk|week"
)
_OF_RECORDINGS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?<!\d){_YEAR}([-_. ]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?!\d)",  # 2026-11-29, 20261129
        rf"(?<!\d){_YEAR}[-_. ]{_MONTH}[-_. ]{_DAY}(?!\d)",  # 2026-1-9
        rf"(?<!\d){_DAY}[-_. ]{_MONTH}[-_. ]{_YEAR}(?!\d)",  # 29.11.2026
        rf"^(?=.*\d)(?:\d+[-_. ]*)*(?:{_MONTH_NAME})(?:[-_. ]*\d+)*$",  # 29 nov, november_2026
        r"(?<![a-z])(?:mon|tues|wednes|thurs|fri|satur|sun)day(?![a-z])",
        r"^[0-2]?\d[-_.h][0-5]\d(?:[-_.m][0-5]\d)?s?$",  # 14-30-05
        r"^1[0-9]{9}(?:[._]?(?:\d{3}|\d{6}|\d{9}))?$",  # seconds since 1970, or parts of them
        rf"(?<![a-z])(?:{_COUNTED})[-_. ]*\d",  # run_001, rosbag2
        r"\.(?:bag|mcap|db3)$",
    )
)


def names_a_recording(folder: str) -> bool:
    """Whether a folder's name is that of a day, a time or a recording: "monday", "rosbag2_2026_11_29"."""
    return any(pattern.search(folder.lower()) for pattern in _OF_RECORDINGS)


def recording_among(folders: Sequence[str]) -> str:
    """The first folder with a part that names a recording; "" where there is none."""
    return next((one for one in folders if any(map(names_a_recording, PurePosixPath(one).parts))), "")


def class_folders(folders: Sequence[str], rule: str = AUTO) -> list[str]:
    """The class of the images in each folder, as a path; "" for images without a class.

    Args:
        folders: Paths below the data's own folder, with "/", "." for that folder itself.
        rule: Of RULES.

    Returns:
        A class for each folder. All are "" where fewer than two classes would be left, and by ``auto``
        where images lie in folders of recordings that are in no folder of a class.
    """
    if rule == FOLDERS:
        found = list(folders)
    elif rule == NONE:
        found = [""] * len(folders)
    else:
        parts = [PurePosixPath(folder).parts for folder in folders]
        found = ["/".join(one for one in path if not names_a_recording(one)) for path in parts]
        if any(path and not kept for path, kept in zip(parts, found, strict=True)):
            found = [""] * len(folders)
    return found if len(set(found) - {""}) > 1 else [""] * len(folders)
