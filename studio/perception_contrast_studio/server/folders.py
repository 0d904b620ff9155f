"""The folders that pages may read and write: those that were given when the studio was started."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from perception_contrast.core.errors import PerceptionError


class FolderError(PerceptionError):
    """A path lies outside of the folders that the studio was started with."""


@dataclass(frozen=True)
class Folders:
    """What the studio was given.

    Attributes:
        datasets: Folders of ``perception-contrast data extract``, or of images.
        runs: Folders of training runs.
        recipes: Where recipes of the pages are saved.
        recordings: Where the pages' own recordings and snapshots are saved.
        maps: Folder of saved maps.
    """

    datasets: tuple[Path, ...] = ()
    runs: tuple[Path, ...] = ()
    recipes: Path | None = None
    recordings: Path | None = None
    maps: Path | None = None

    def all(self) -> tuple[Path, ...]:
        """Every folder."""
        given = (*self.datasets, *self.runs, self.recipes, self.recordings, self.maps)
        return tuple(one for one in given if one is not None)

    def checked(self, path: str | Path) -> Path:
        """A path that a browser named, resolved.

        Raises:
            FolderError: It lies outside of all folders, also by way of a link.
        """
        return inside(path, self.all())


def inside(path: str | Path, folders: Iterable[Path]) -> Path:
    """The resolved path, if it lies in one of the folders.

    Raises:
        FolderError: It does not.
    """
    given = tuple(folders)
    try:
        resolved = Path(path).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise FolderError(f"'{path}' is no path: {error}") from error
    if any(resolved.is_relative_to(one.resolve()) for one in given):
        return resolved
    raise FolderError(
        f"'{path}' lies outside of the folders that the studio was started with; start it with "
        "--dataset or --run for that folder"
    )
