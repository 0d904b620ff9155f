"""The datasets that the studio shows, read once for all visitors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.dataset.dataset_frames import DatasetFrames, LeftOutFrames
from perception_contrast_studio.server.studio_page import Studio
from perception_contrast_studio.workers.worker_pool import Progress

DESCRIBE, FIND_LEFT_OUT = "datasets.dataset_reading:describe", "datasets.left_out_frames:find_left_out"
_TELLING = ("manifest.parquet", "dataset.json", "duplicates.parquet", "split.parquet", "shards")


def _quietly(fraction: float, text: str) -> None:
    """Progress that nobody looks at."""


class DatasetCatalog:
    """What is known of each dataset, read again when its files change.

    Args:
        studio: Whose folders and workers it uses.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self.folders: tuple[Path, ...] = studio.folders.datasets
        self._known: dict[int, tuple[tuple[float, ...], DatasetFrames]] = {}
        self._left_out: dict[int, tuple[tuple[float, ...], LeftOutFrames]] = {}
        self._locks: dict[int, asyncio.Lock] = {}

    def known(self, number: int) -> DatasetFrames | None:
        """As it was read last; None for a dataset that was never read."""
        found = self._known.get(number)
        return None if found is None else found[1]

    async def frames(self, number: int, progress: Progress = _quietly) -> DatasetFrames:
        """A dataset as it is now.

        Raises:
            PerceptionError: There is none with that number, or it cannot be read.
        """
        if not 0 <= number < len(self.folders):
            raise PerceptionError("there is no such dataset; start the studio with --dataset DIR")
        async with self._locks.setdefault(number, asyncio.Lock()):
            state = self._state(number)
            found = self._known.get(number)
            if found is None or found[0] != state:
                read = await self._studio.workers.run(
                    DESCRIBE, on_progress=progress, folder=str(self.folders[number])
                )
                found = self._known[number] = (state, read)
            return found[1]

    def known_left_out(self, number: int) -> LeftOutFrames | None:
        """What was left out, if somebody looked since the dataset changed last."""
        found = self._left_out.get(number)
        return found[1] if found is not None and found[0] == self._state(number) else None

    async def left_out(self, number: int, progress: Progress) -> LeftOutFrames:
        """Looks through the recordings again.

        Raises:
            PerceptionError: They are not there any more.
        """
        state = self._state(number)
        read: LeftOutFrames = await self._studio.workers.run(
            FIND_LEFT_OUT, on_progress=progress, folder=str(self.folders[number])
        )
        self._left_out[number] = (state, read)
        return read

    def _state(self, number: int) -> tuple[float, ...]:
        folder = self.folders[number]
        found = tuple(_changed(folder / name) for name in _TELLING)
        # The folder of an extracted dataset changes when boxes are saved in it, too.
        return found if any(found[:2]) else (*found, _changed(folder))


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def dataset_catalog(studio: Studio) -> DatasetCatalog:
    """The one of a studio."""
    found = studio.notes.get("dataset_catalog")
    if not isinstance(found, DatasetCatalog):
        found = studio.notes["dataset_catalog"] = DatasetCatalog(studio)
    return found


def frames_getter(studio: Studio) -> Callable[[int], DatasetFrames | None]:
    """As ``DatasetCatalog.known``, for who is made before the catalogue."""
    return lambda number: dataset_catalog(studio).known(number)
