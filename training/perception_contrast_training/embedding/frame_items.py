"""What a source of frames gives to an embedding, and the protocol of such sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from perception_contrast.core.frame import Frame


@dataclass(frozen=True)
class FrameItem:
    """One frame of a source, or the reason why it cannot be read.

    Attributes:
        index: Place in the source, from 0 on.
        key: Names the frame within the source.
        frame: None where it cannot be read.
        error: Why not.
        topic: Of a recording's image.
        stamp: Nanoseconds, -1 for unknown.
        label: Its class, "" for none.
    """

    index: int
    key: str
    frame: Frame | None = None
    error: str = ""
    topic: str = ""
    stamp: int = -1
    label: str = ""


class EmbedSource(Protocol):
    """Frames of one recording's topic, video or data set; opened anew in each process.

    Attributes:
        name: Names it in the results; no other source of a run has it.
        place: Path or address.
        kind: "dataset", "video" or "recording".
        sequential: Whether a frame is reached through those before it alone, so that one worker reads all.
    """

    @property
    def name(self) -> str: ...

    @property
    def place(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def sequential(self) -> bool: ...

    def count(self) -> int:
        """How many frames it has; of a sequential source what its file says, 0 if it says nothing."""

    def identity(self) -> dict[str, str | int]:
        """What tells it from another source, as JSON can hold it."""

    def frames(self, start: int, stop: int | None) -> Iterator[FrameItem]:
        """Frames from ``start`` until before ``stop``. Raises PerceptionError where it cannot be read on."""

    def lost(self) -> tuple[str, ...]:
        """What the iteration that ended last could not read and that is no single frame."""
