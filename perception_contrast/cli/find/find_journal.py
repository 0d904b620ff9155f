"""What a run of `find` has done, on disk: a line of JSON a frame, which a stopped run continues from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError

RESULTS, UNFINISHED_RESULTS, REPORT = "detections.jsonl", "detections.jsonl.part", "find.json"
FORMAT = "perception_contrast find 1"


@dataclass
class SourceProgress:
    """What is done of one source.

    Attributes:
        frames: Frames with results, and those that could not be read.
        unreadable: How many of them could not be read.
        lost: Notes of what is lost that is no single frame, each once.
        tracks: Of the frames in order: stamp, labels and track ids of what was found.
        ended: All of it is done.
    """

    frames: int = 0
    unreadable: int = 0
    lost: dict[str, None] = field(default_factory=dict)
    tracks: list[TrackedFrame] = field(default_factory=list)
    ended: bool = False


@dataclass(frozen=True)
class TrackedFrame:
    """Labels and track ids that one frame was given. stamp: nanoseconds."""

    index: int
    stamp: int
    labels: tuple[str, ...]
    ids: tuple[str, ...]


class FindJournal:
    """The results of one run in its folder. Only one process may write it.

    Lines are appended to ``detections.jsonl.part``, which is renamed to ``detections.jsonl`` once all is
    done: whoever sees that name sees the whole.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Opens the folder's run if it has one.

        Args:
            folder: Made if it is not there.
            settings: What results depend on, as JSON can hold it.

        Raises:
            PerceptionError: The folder holds results of other settings, or cannot be written.
        """
        self.folder, self._settings = folder, json.loads(json.dumps(dict(settings)))
        self.sources: dict[str, SourceProgress] = {}
        self._file: IO[bytes] | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._require_same_settings()
            if (folder / RESULTS).exists():
                (folder / RESULTS).replace(self._path)
            length = self._read()
            self._file = self._path.open("ab")
            # A line that was cut short by the end of its process is not a result.
            self._file.truncate(length)
        except OSError as error:
            raise PerceptionError(
                f"'{folder}' cannot be written: {error.strerror or error}; choose another --save"
            ) from error
        self.write_report({}, finished=False)

    @property
    def _path(self) -> Path:
        return self.folder / UNFINISHED_RESULTS

    def __enter__(self) -> FindJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def of(self, source: str) -> SourceProgress:
        """What is done of a source."""
        return self.sources.setdefault(source, SourceProgress())

    def add(self, entry: Mapping[str, Any]) -> None:
        """Appends a frame's result: "source", "frame", and "detections" or "error"."""
        self._append(entry)
        self._take(entry)

    def lose(self, source: str, note: str) -> bool:
        """Notes what a source lost; False where that is known already."""
        if note in self.of(source).lost:
            return False
        entry = {"source": source, "lost": note}
        self._append(entry)
        self._take(entry)
        return True

    def end(self, source: str) -> None:
        """Notes that a source is done."""
        progress = self.of(source)
        self._append({"source": source, "frames": progress.frames, "unreadable": progress.unreadable})
        progress.ended = True

    def entries(self) -> Iterator[dict[str, Any]]:
        """The lines that are results or errors of frames, in order."""
        assert self._file is not None
        self._file.flush()
        with self._path.open("rb") as file:
            for line in file:
                entry = json.loads(line)
                if "frame" in entry:
                    yield entry

    def write_report(self, facts: Mapping[str, Any], *, finished: bool) -> None:
        """Writes ``find.json``: the settings, whether all is done, and facts of the run."""
        report = {"format": FORMAT, "finished": finished, **facts, "settings": self._settings}
        text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
        atomic_write(self.folder / REPORT, text.encode())

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Gives the results their final name."""
        assert self._file is not None
        self._file.close()
        self._path.replace(self.folder / RESULTS)
        self.write_report(facts, finished=True)

    def _append(self, entry: Mapping[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        self._file.flush()

    def _has_results(self) -> bool:
        """Whether there is a line: what failed before, as with a wrong model, does not stand in the way."""
        part = self._path
        return (self.folder / RESULTS).exists() or (part.exists() and part.stat().st_size > 0)

    def _require_same_settings(self) -> None:
        path = self.folder / REPORT
        results = [name for name in (RESULTS, UNFINISHED_RESULTS) if (self.folder / name).exists()]
        if not path.exists():
            if results:
                raise PerceptionError(
                    f"'{self.folder}' holds {results[0]} without {REPORT}; choose another --save"
                )
            return
        try:
            stored = json.loads(path.read_text("utf-8"))
            before = stored["settings"] if stored["format"] == FORMAT else None
        except (ValueError, KeyError, TypeError):
            before = None
        if before is None:
            raise PerceptionError(f"'{path}' is not of this command; choose another --save, or --restart")
        keys = {*before, *self._settings}
        others = sorted(key for key in keys if before.get(key) != self._settings.get(key))
        if others and self._has_results():
            raise PerceptionError(
                f"'{self.folder}' holds results of other settings ({', '.join(others)}); choose another "
                "--save, or give --restart to replace them"
            )

    def _read(self) -> int:
        """Takes in what is done; gives the length of the lines that are whole."""
        length = 0
        if not self._path.exists():
            return length
        with self._path.open("rb") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                    if not line.endswith(b"\n") or not isinstance(entry["source"], str):
                        break
                except (ValueError, KeyError, TypeError):
                    break
                length += len(line)
                self._take(entry)
        return length

    def _take(self, entry: Mapping[str, Any]) -> None:
        progress = self.of(entry["source"])
        if "lost" in entry:
            progress.lost[entry["lost"]] = None
            return
        if "frame" not in entry:
            progress.ended = True
            progress.tracks.clear()
            return
        progress.frames += 1
        if "error" in entry:
            progress.unreadable += 1
            return
        found = entry["detections"]
        labels, ids = (tuple(one[key] for one in found) for key in ("label", "track_id"))
        progress.tracks.append(TrackedFrame(entry["frame"], entry["stamp"], labels, ids))
