"""Command-line arguments that several commands take; training's commands use them too."""

from __future__ import annotations

import argparse
import math

from perception_contrast.core.errors import ModelError
from perception_contrast.pipeline.pipeline_settings import AUTO_TILE


def non_negative_int(text: str) -> int:
    """A whole number from 0 on. Raises ArgumentTypeError."""
    return _int_from(0, text)


def positive_int(text: str) -> int:
    """A whole number from 1 on. Raises ArgumentTypeError."""
    return _int_from(1, text)


def tile_side(text: str) -> int:
    """A side in pixels from 0 on, or "auto" for what suits the model. Raises ArgumentTypeError."""
    return AUTO_TILE if text == "auto" else _int_from(0, text)


def place_name(text: str) -> str:
    """The name of a place, "" for none. Raises ArgumentTypeError."""
    from perception_contrast.segmentation.place_level import checked_place

    try:
        return checked_place(text) if text else text
    except ModelError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


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


def add_place_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Adds ``--place``, for commands that report detections."""
    parser.add_argument(
        "--place",
        type=place_name,
        default="",
        metavar="NAME",
        help="report texts from the level on that `calibrate --unlabelled` measured in this place",
    )


def _int_from(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least} on")
    return int(text)
