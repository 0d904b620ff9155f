"""What is done with saved maps on the page of a map."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.map.map_shelf import MapShelfCard, ShelfActions
from perception_contrast_studio.components.shared.progress_line import ProgressLine
from perception_contrast_studio.components.shared.told_errors import tells_errors
from perception_contrast_studio.maps.live_map import LiveMap
from perception_contrast_studio.maps.map_source import MapSource
from perception_contrast_studio.maps.source_choice import SourceChoice, key_of
from perception_contrast_studio.server.studio_page import Visit

_SUFFIXES = {"ply": ".ply", "json": ".geojson"}


class SavedMapsPanel:
    """Lists, opens, loads, saves, clears and downloads.

    Args:
        visit: Of the page.
        choice: The maps.
        progress: Shows what takes time.
        shown: Gives the key and the source of the map that the page shows.
        choose: Shows the map of a key.
    """

    def __init__(
        self,
        visit: Visit,
        choice: SourceChoice,
        progress: ProgressLine,
        shown: Callable[[], tuple[str, MapSource | None]],
        choose: Callable[[str], Awaitable[None]],
    ) -> None:
        self._choice, self._progress, self._shown, self._choose = choice, progress, shown, choose
        actions = ShelfActions(
            open=lambda name: self._choose(key_of(name)),
            load=lambda name: self._with_robot(f"loading '{name}'", lambda robot: robot.load(name)),
            save=lambda name: self._with_robot(f"saving as '{name}'", lambda robot: robot.save(name)),
            clear=lambda: self._with_robot("clearing the map", lambda robot: robot.clear()),
            download=self._download,
            refresh=self.refresh,
        )
        self._shelf = MapShelfCard(visit, actions, robot=choice.robot is not None)

    @tells_errors
    async def refresh(self) -> None:
        """Looks again what is there."""
        key, source = self._shown()
        robot = self._choice.robot
        entries = {one.name: one for one in await self._choice.entries()}
        if robot is not None and source is robot:
            # The page tells already where the robot is not there.
            with contextlib.suppress(PerceptionError):
                entries |= {one.name: one for one in await robot.entries()}
        shown = "" if source is None or source.live else key.removeprefix(key_of(""))
        self._shelf.show([entries[name] for name in sorted(entries)], shown)

    @tells_errors
    async def _with_robot(self, what: str, work: Callable[[LiveMap], Awaitable[Any]]) -> None:
        robot = self._choice.robot
        if robot is None:
            raise PerceptionError("there is no robot; start the studio with --robot")

        async def done(_: Any) -> str:
            return str(await work(robot) or "done")

        said = await self._progress.run(what, done)
        if said is not None:
            ui.notify(said, type="positive")
            await self.refresh()

    @tells_errors
    async def _download(self, kind: str) -> None:
        _, source = self._shown()
        if source is None:
            raise PerceptionError("no map is open; choose one at the top")
        data = await self._progress.run("writing the file", lambda _: source.export(kind))
        if data is not None:
            ui.download.content(data, f"map{_SUFFIXES[kind]}")
