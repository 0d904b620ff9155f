"""Types of arguments that commands of the package and of training share."""

from __future__ import annotations

import argparse


def whole(text: str) -> int:
    """A whole number from 0 on, for ``type=`` of an argument. Raises ArgumentTypeError."""
    return _from(0, text)


def count(text: str) -> int:
    """A whole number from 1 on, for ``type=`` of an argument. Raises ArgumentTypeError."""
    return _from(1, text)


def _from(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least} on")
    return int(text)
