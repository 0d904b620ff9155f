"""Command-line arguments that several commands take; training's commands use them too."""

from __future__ import annotations

import argparse
import math


def non_negative_int(text: str) -> int:
    """A whole number from 0 on. Raises ArgumentTypeError."""
    return _int_from(0, text)


def positive_int(text: str) -> int:
    """A whole number from 1 on. Raises ArgumentTypeError."""
    return _int_from(1, text)


def seconds(text: str) -> float:
    """A finite number of seconds from 0 on. Raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds from 0 on")
    return value


def add_scores_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--scores``, for commands that draw detections on images."""
    parser.add_argument(
        "--scores", action="store_true", help="write probabilities behind the labels in overlays"
    )


def _int_from(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least} on")
    return int(text)
