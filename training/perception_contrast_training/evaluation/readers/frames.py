"""Frames of recordings, videos, folders and images, evenly chosen; nothing else need be known of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from perception_contrast.cli.find.find_sources import LostNote, find_sources
from perception_contrast.core.frame import Frame


def sampled_frames(paths: Sequence[Path], wanted: int, topic: str | None = None) -> Iterator[Frame]:
    """Frames of recordings, videos, folders and images, evenly over all of them.

    Args:
        paths: What the command line names.
        wanted: How many frames.
        topic: The image topic of recordings.

    Raises:
        PerceptionError: A path does not exist, or a folder holds no image.
    """
    sources = find_sources(paths, topic).sources
    total = sum(source.count() for source in sources)
    step = max(1.0, total / wanted)
    seen, following = 0, 0.0
    for source in sources:
        for read in source.frames(0):
            if isinstance(read, LostNote):
                continue
            if read.frame is not None and seen >= following:
                yield read.frame
                following += step
            seen += 1
