"""FrameSource: the protocol of everything that gives frames without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from perception_contrast.core.frame import Frame

NANOSECONDS = 1_000_000_000


class FrameSource(Protocol):
    """Frames in order. Iterating starts from the beginning each time; stamps are nanoseconds and grow."""

    def __iter__(self) -> Iterator[Frame]: ...
