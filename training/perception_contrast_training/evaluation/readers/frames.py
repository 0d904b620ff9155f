"""Frames of recordings, videos, folders and images, evenly chosen; nothing else need be known of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from perception_contrast.cli.find.find_sources import FindSource, LostNote, find_sources
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame


def sampled_frames(
    paths: Sequence[Path], wanted: int, topic: str | None = None, least: int = 0
) -> Iterator[Frame]:
    """Frames of recordings, videos, folders and images, evenly over all of them.

    Sources are looked at when this is called, so a wrong path is told before models are loaded.

    Args:
        paths: What the command line names.
        wanted: How many frames.
        topic: The image topic of recordings.
        least: Fewer frames are of no use.

    Raises:
        PerceptionError: A path does not exist, a folder holds no image, or there are fewer frames than the
            least.
    """
    sources = find_sources(paths, topic).sources
    counts = [source.count() for source in sources]
    total = sum(counts)
    if all(counts) and total < least:  # a source that cannot tell before it is read counts 0
        named = ", ".join(f"'{path}'" for path in paths)
        raise PerceptionError(f"the {total} frames of {named} are too few; give at least {least}")
    return _every(sources, max(1.0, total / wanted))


def _every(sources: Sequence[FindSource], step: float) -> Iterator[Frame]:
    seen, following = 0, 0.0
    for source in sources:
        for read in source.frames(0):
            if isinstance(read, LostNote):
                continue
            if read.frame is not None and seen >= following:
                yield read.frame
                following += step
            seen += 1
