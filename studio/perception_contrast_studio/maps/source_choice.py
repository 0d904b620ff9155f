"""Which maps a page can show, and the one object for each that all views share."""

from __future__ import annotations

import asyncio
from pathlib import Path

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.plain_names import is_plain_name
from perception_contrast.mapping.storage.map_folder import maps_folder
from perception_contrast_studio.maps.live_map import LiveMap
from perception_contrast_studio.maps.map_source import MapSource
from perception_contrast_studio.maps.map_types import MapEntry
from perception_contrast_studio.maps.saved_map import SavedMap, saved_entries
from perception_contrast_studio.server.studio_page import Studio

ROBOT = "robot"
_SAVED = "map:"
_NOTE = "map sources"
# Clouds of maps that nobody looks at any more leave the memory.
_MOST_OPEN = 3


class SourceChoice:
    """The maps of one studio.

    Args:
        studio: With its robot and folders.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._sources: dict[str, MapSource] = {}

    @classmethod
    def of(cls, studio: Studio) -> SourceChoice:
        """The one that all views of a studio share."""
        found = studio.notes.setdefault(_NOTE, cls(studio))
        assert isinstance(found, cls)
        return found

    @property
    def folder(self) -> Path:
        """Of saved maps."""
        return self._studio.folders.maps or maps_folder()

    @property
    def robot(self) -> LiveMap | None:
        """The robot's map; None without a robot."""
        found = self.source(ROBOT) if self._studio.robot is not None else None
        return found if isinstance(found, LiveMap) else None

    async def entries(self) -> tuple[MapEntry, ...]:
        """The saved maps of this machine, by name."""
        return await asyncio.to_thread(saved_entries, self.folder)

    async def names(self) -> dict[str, str]:
        """Keys of the maps that can be shown, and what people call them."""
        saved = {key_of(one.name): one.name for one in await self.entries()}
        robot = {} if self.robot is None else {ROBOT: f"{self.robot.title}, live"}
        return robot | saved

    def first(self, wanted: str, names: dict[str, str]) -> str:
        """The key of the map to begin with, "" for none.

        Args:
            wanted: Key that the page's address names, or "".
            names: As of ``names``.
        """
        given = self._studio.notes.get("map")
        for key in (wanted, key_of(str(given)) if given else "", ROBOT):
            if key in names:
                return key
        return next(iter(names), "")

    def source(self, key: str) -> MapSource:
        """The map of a key. Raises PerceptionError for one that is none."""
        if key not in self._sources:
            name = key.removeprefix(_SAVED)
            if key == ROBOT and self._studio.robot is not None:
                self._sources[key] = LiveMap(self._studio.robot, self._studio.workers)
            elif key.startswith(_SAVED) and is_plain_name(name):
                self._sources[key] = SavedMap(self.folder, name, self._studio.workers)
            else:
                raise PerceptionError(f"there is no map '{key[:80]}'; choose one of the list")
        # The last used is the last to go.
        found = self._sources[key] = self._sources.pop(key)
        for old in [one for one in self._sources if one != ROBOT][:-_MOST_OPEN]:
            del self._sources[old]
        return found


def key_of(name: str) -> str:
    """The key of a saved map."""
    return _SAVED + name
