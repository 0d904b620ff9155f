"""What a run of autolabel has seen: a line of JSON a frame, from which a stopped run goes on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from perception_contrast.core.errors import PerceptionError

SEEN_FILE = "seen.jsonl"
FORMAT = "perception_contrast autolabel 1"


@dataclass(frozen=True)
class SeenThing:
    """What the model found.

    Attributes:
        label, score: Its class and its probability.
        box: x_min, y_min, x_max, y_max.
        mask: COCO's run lengths of the whole image.
        agreed: Check to the probability that it gave the same thing, 0 where it did not find it.
        track: Who it is from frame to frame; "" for an image by itself.
    """

    label: str
    score: float
    box: tuple[int, int, int, int]
    mask: Mapping[str, Any]
    agreed: Mapping[str, float]
    track: str = ""


@dataclass(frozen=True)
class SeenFrame:
    """A frame that was labelled. file: of its image, below the images' folder. error: why it was not."""

    source: str
    index: int
    file: str
    size: tuple[int, int]
    things: tuple[SeenThing, ...] = ()
    error: str = ""


class LabelJournal:
    """The frames of one run in its folder. Only one process may write it."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Opens the folder's run if it has one; a line that was cut off is taken back.

        Raises:
            PerceptionError: The folder has a run of other settings, or cannot be written.
        """
        self._path, given = folder / SEEN_FILE, json.loads(json.dumps(dict(settings)))
        self.frames: list[SeenFrame] = []
        self._counts = Counter[str]()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            length = self._read(given, folder)
            self._file: IO[bytes] = self._path.open("ab")
            self._file.truncate(length)
            if not length:
                self._append({"format": FORMAT, "settings": given})
        except OSError as error:
            raise PerceptionError(f"'{folder}' cannot be written ({error}); choose another --out") from error

    def add(self, frame: SeenFrame) -> None:
        """Writes one frame. Raises OSError."""
        self._append(asdict(frame))
        self._keep(frame)

    def done(self, source: str) -> int:
        """How many frames of a source are there."""
        return self._counts[source]

    def _keep(self, frame: SeenFrame) -> None:
        self.frames.append(frame)
        self._counts[frame.source] += 1

    def _append(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()

    def _read(self, given: Mapping[str, Any], folder: Path) -> int:
        """Bytes of whole lines."""
        if not self._path.is_file():
            return 0
        length = 0
        lines = [one for one in self._path.read_bytes().splitlines(keepends=True) if one.endswith(b"\n")]
        for line in lines:
            try:
                read = json.loads(line)
                if not length:
                    if read["settings"] != given or read["format"] != FORMAT:
                        if len(lines) == 1:  # a command that failed before its first frame
                            return 0
                        raise PerceptionError(
                            f"'{folder}' has labels of other settings; choose another --out, or replace them "
                            "with --restart"
                        )
                else:
                    self._keep(_frame(read))
            except (ValueError, KeyError, TypeError) as error:
                raise PerceptionError(
                    f"'{self._path}' is damaged ({error}); replace it with --restart"
                ) from error
            length += len(line)
        return length

    def __enter__(self) -> LabelJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _frame(read: Mapping[str, Any]) -> SeenFrame:
    things = tuple(SeenThing(**{**one, "box": tuple(one["box"])}) for one in read["things"])
    return SeenFrame(**{**read, "size": tuple(read["size"]), "things": things})


def track_lengths(frames: Sequence[SeenFrame]) -> dict[str, int]:
    """Track to the number of frames that show it under the label that it has most often."""
    counts: dict[str, dict[str, int]] = {}
    for frame in frames:
        for one in frame.things:
            if one.track:
                of_track = counts.setdefault(one.track, {})
                of_track[one.label] = of_track.get(one.label, 0) + 1
    return {track: max(labels.values()) for track, labels in counts.items()}
