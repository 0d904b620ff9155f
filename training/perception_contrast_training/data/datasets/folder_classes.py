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

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LONG_MONTHS = "january february march april may june july august september october november december".split()
_MONTHS = frozenset([*_LONG_MONTHS, *(month[:3] for month in _LONG_MONTHS)])
# With a number behind them they count recordings or their parts.
_COUNTED = frozenset(
    "bag batch cam camera capture chunk clip day drive episode experiment flight frames lap log mission part "
    "rec recording ride rosbag run scan scene seq sequence session shard shot split take tour trial trip "
    "vid video visit walk week".split()
)
_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_TIMES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?<!\d){_YEAR}([-_. ]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?!\d)",  # 2026-11-29, 20261129
        rf"(?<!\d){_YEAR}[-_. ]{_MONTH}[-_. ]{_DAY}(?!\d)",  # 2026-1-9
        rf"(?<!\d){_DAY}[-_. ]{_MONTH}[-_. ]{_YEAR}(?!\d)",  # 29.11.2026
        r"^[0-2]?\d[-_.h][0-5]\d(?:[-_.m][0-5]\d)?s?$",  # 14-30-05
        r"^1[0-9]{9}(?:[._]?\d{3}|[._]?\d{6}|[._]?\d{9})?$",  # seconds since 1970, or parts of them
        r"\.(?:bag|mcap|db3)$",
    )
)


def names_a_recording(folder: str) -> bool:
    """Whether a folder's name is that of a day, a time or a recording: "monday", "rosbag2_2026_11_29"."""
    name = folder.lower()
    if any(pattern.search(name) for pattern in _TIMES):
        return True
    words = re.findall(r"[^\W\d_]+|\d+", name)
    if any(word in _DAYS for word in words):
        return True
    if len(words) > 1 and all(word in _MONTHS or word.isdecimal() for word in words):
        return any(word in _MONTHS for word in words)
    return any(
        word in _COUNTED and following.isdecimal() for word, following in zip(words, words[1:], strict=False)
    )


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
