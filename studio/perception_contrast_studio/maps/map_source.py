"""MapSource: what a page asks of a map, live or saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perception_contrast_studio.maps.map_types import (
    ApproachPlace,
    FindOptions,
    MapAnswer,
    MapLayers,
    MapThing,
    Question,
    RecallOptions,
    Sighting,
)
from perception_contrast_studio.workers.worker_pool import Progress


class MapSource(Protocol):
    """One map. Its methods raise PerceptionError, whose message is for the user.

    Attributes:
        title: For people.
        live: Whether it is a running node's, so that colouring and forgetting change a robot.
    """

    title: str
    live: bool

    @property
    def layers(self) -> MapLayers:
        """What is drawn, as it is known now."""
        ...

    async def open(self, on_progress: Progress) -> None:
        """Makes the first layers ready, as far as they do not come by themselves."""
        ...

    def watch(self, viewer: str, *, cloud: bool) -> None:
        """A view is open; cloud: whether it shows the cloud."""
        ...

    def unwatch(self, viewer: str) -> None:
        """A view was closed."""
        ...

    async def find(self, question: Question, options: FindOptions, on_progress: Progress) -> MapAnswer:
        """Answers a question."""
        ...

    async def heat(self, text: str, on_progress: Progress) -> NDArray[np.float32] | None:
        """Cosines of the cloud's points with words; None where they come with the next clouds."""
        ...

    async def describe(self, thing: MapThing) -> MapThing:
        """A thing with all that is known of it."""
        ...

    async def recall(self, options: RecallOptions) -> tuple[Sighting, ...]:
        """What was seen when."""
        ...

    async def approach(self, thing: MapThing) -> ApproachPlace:
        """Where to stand to face a thing."""
        ...

    async def forget(self, things: Sequence[MapThing]) -> str:
        """Takes things out of the map and its memory. Returns what was done, in words."""
        ...

    async def export(self, kind: str) -> bytes:
        """A file of the map: "ply" or "json"."""
        ...
