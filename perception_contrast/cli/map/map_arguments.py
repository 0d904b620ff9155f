"""Command-line arguments that several commands of saved maps take."""

from __future__ import annotations

import argparse
import math
import time
from datetime import datetime
from pathlib import Path

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.memory.relative_time import moment
from perception_contrast.memory.sightings import Point, RecallError

_RADIUS = 1.0  # metres


def point(text: str) -> Point:
    """Of "x,y,z" in metres. Raises ArgumentTypeError."""
    x, y, z = _numbers(text, 3, "x,y,z in metres")
    return x, y, z


def flat_transform(text: str) -> RigidTransform:
    """Of "x,y,z,degrees": a translation in metres and a left turn about z. Raises ArgumentTypeError."""
    x, y, z, degrees = _numbers(text, 4, "x,y,z in metres and degrees about z")
    half = math.radians(degrees) / 2
    return RigidTransform.of_quaternion((x, y, z), (0.0, 0.0, math.sin(half), math.cos(half)))


def stamp(text: str) -> int:
    """A time as people type it, in nanoseconds. Raises ArgumentTypeError."""
    try:
        return moment(text, time.time_ns())
    except RecallError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def require_file_place(path: Path) -> None:
    """Checks where a file is to be written, before what takes long; missing folders are made with it.

    Raises:
        PerceptionError: The path is a folder, or a file stands where a folder has to be made.
    """
    if path.is_dir():
        raise PerceptionError(f"'{path}' is a folder; give a file in it")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not there.is_dir():
        raise PerceptionError(f"'{path}' cannot be written: '{there}' is a file; choose another folder")


def add_place(parser: argparse.ArgumentParser) -> None:
    """Adds ``--near``, ``--radius`` and ``--box``."""
    parser.add_argument("--near", type=point, metavar="X,Y,Z", help="a point of the map, metres")
    parser.add_argument(
        "--radius", type=float, default=_RADIUS, metavar="M", help="around --near (default: %(default)s)"
    )
    parser.add_argument(
        "--box", type=point, nargs=2, metavar="X,Y,Z", help="two corners of an area of the map, metres"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def local_time(nanoseconds: int) -> str:
    """A stamp as people read it, in local time; "never" for 0."""
    if nanoseconds <= 0:
        return "never"
    return datetime.fromtimestamp(nanoseconds / 1e9).isoformat(" ", "seconds")


def ordered_box(corners: list[Point]) -> tuple[Point, Point]:
    """The least and the greatest corner of two that are given in any order."""
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    return (float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2]))


def _numbers(text: str, count: int, what: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise argparse.ArgumentTypeError(f"'{text}' is not {what}; write it without spaces, as 1.5,0,-2")
    return numbers
