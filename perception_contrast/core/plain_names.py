"""Names of things that users keep in one folder: names alone, so that a message may carry one safely."""

from __future__ import annotations

import re

PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
PLAIN_NAME_RULE = "a name is made of a-z, 0-9, - and _ (64 at most), without a path"


def is_plain_name(name: str) -> bool:
    """Whether a name can be no path: 1 to 64 of a-z, 0-9, ``-`` and ``_``, a letter or digit first."""
    return PLAIN_NAME.fullmatch(name) is not None
