"""MapClient: requests to map_node from a Python program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.futures import ClientFuture
from perception_contrast.client.identified_results import Detections3D
from perception_contrast.client.map_layers import MapCloud, MapGrid, MapMesh
from perception_contrast.client.map_requests import Corners, MapRequests
from perception_contrast.client.map_results import (
    ApproachPose,
    MapFinding,
    MapThing,
    Recollection,
    SavedMap,
)
from perception_contrast.client.map_topics import MapTopics
from perception_contrast.client.node_client import NodeClient
from perception_contrast.client.result_types import Vectors
from perception_contrast.client.streams import Stream
from perception_contrast.client.target import Target


class MapClient(NodeClient):
    """Requests to one map_node; ``PerceptionClient.map`` is one.

    Every method waits for its result; ``start`` has the same methods without waiting, which return a future
    at once. They raise what the methods of PerceptionClient raise.

    Args:
        background: Does the work.
        target: The map_node.
        timeout: Seconds of a request by default.
        linger: Seconds that a subscription outlives its last use.
    """

    def __init__(self, background: BackgroundNode, target: Target, timeout: float, linger: float) -> None:
        self._topics = MapTopics(background, target, linger)
        self.start = MapRequests(background, target, self._topics, timeout)
        super().__init__(target, self._topics, self.start)

    def find(
        self,
        text: str = "",
        *,
        label: str = "",
        exemplar: Vectors | None = None,
        near: Sequence[float] | None = None,
        radius: float = 1.0,
        within: Corners | None = None,
        since: int = 0,
        min_score: float = 0.0,
        include_gone: bool = False,
        thumbnails: bool = False,
        max_results: int = 10,
        timeout: float | None = None,
    ) -> MapFinding:
        """Where something is.

        Args:
            text: Words; or give ``label`` or ``exemplar``.
            label: Of detections.
            exemplar: One row, as ``add_exemplar`` and ``embed_text`` give it.
            near: (3,) metres in the map; only what lies within ``radius`` of it.
            radius: Metres.
            within: Lowest and highest corner (3,) of a box in metres.
            since: Nanoseconds; what was seen at this time or later.
            min_score: Probability; 0 takes the node's.
            include_gone: What is not there any more too.
            thumbnails: With images.
            max_results: Most things.
            timeout: Seconds.
        """
        return self.start.find(
            text,
            label=label,
            exemplar=exemplar,
            near=near,
            radius=radius,
            within=within,
            since=since,
            min_score=min_score,
            include_gone=include_gone,
            thumbnails=thumbnails,
            max_results=max_results,
            timeout=timeout,
        ).result()

    def start_find(self, text: str = "", **filters: Any) -> ClientFuture[MapFinding]:
        """As ``start.find``."""
        return self.start.find(text, **filters)

    def look_for(
        self,
        text: str = "",
        *,
        label: str = "",
        exemplar: Vectors | None = None,
        min_score: float = 0.0,
        timeout: float | None = None,
        on_progress: Callable[[tuple[MapThing, ...]], Any] = lambda _: None,
    ) -> MapThing:
        """Waits until something is seen; ``cancel()`` of the future of ``start.look_for`` gives it up.

        Args:
            text: Words; or give ``label`` or ``exemplar``.
            label: Of detections.
            exemplar: One row, as ``add_exemplar`` and ``embed_text`` give it.
            min_score: Probability; 0 takes the node's.
            timeout: Seconds.
            on_progress: Called twice a second with the best candidates, in the client's thread.

        Raises:
            NoAnswerError: It was not seen in that time.
        """
        return self.start.look_for(
            text,
            label=label,
            exemplar=exemplar,
            min_score=min_score,
            timeout=timeout,
            on_progress=on_progress,
        ).result()

    def recall(
        self,
        text: str = "",
        *,
        exemplar: Vectors | None = None,
        thing: MapThing | str = "",
        label: str = "",
        since: int = 0,
        until: int = 0,
        near: Sequence[float] | None = None,
        radius: float = 1.0,
        oldest_first: bool = False,
        thumbnails: bool = False,
        max_results: int = 10,
        timeout: float | None = None,
    ) -> Recollection:
        """When and where something was seen, of the memory beside the map that is written as it grows.

        With words or an example the sightings that are most like it come first, else the newest: so
        ``recall(thing=thing, max_results=1)`` tells when a thing was last seen.

        Args:
            text: Words.
            exemplar: One row, comparable with texts.
            thing: Only sightings of this thing, or of the one with this id.
            label: Only sightings that were taken for this.
            since: Nanoseconds; only what was seen at this time or later.
            until: Nanoseconds; only what was seen at this time or before; 0 for no limit.
            near: (3,) metres in the map; only what lies within ``radius`` of it.
            radius: Metres.
            oldest_first: Of what is not ordered by likeness.
            thumbnails: With images.
            max_results: Most sightings.
            timeout: Seconds.

        Raises:
            RefusedError: The map has no name, so that it has no memory, or the question makes no sense.
        """
        return self.start.recall(
            text,
            exemplar=exemplar,
            thing=thing,
            label=label,
            since=since,
            until=until,
            near=near,
            radius=radius,
            oldest_first=oldest_first,
            thumbnails=thumbnails,
            max_results=max_results,
            timeout=timeout,
        ).result()

    def approach(
        self, thing: MapThing | str, distance: float = 0.0, timeout: float | None = None
    ) -> ApproachPose:
        """A free pose that the robot can reach and that faces a thing.

        Args:
            thing: As ``find`` gave it, or words for one.
            distance: Metres between the robot's centre and the thing's box; 0 takes the node's.
            timeout: Seconds.

        Raises:
            RefusedError: There is no such pose; the message says why.
        """
        return self.start.approach(thing, distance, timeout).result()

    def start_approach(
        self, thing: MapThing | str, distance: float = 0.0, timeout: float | None = None
    ) -> ClientFuture[ApproachPose]:
        """As ``start.approach``."""
        return self.start.approach(thing, distance, timeout)

    # Maps on the disk.

    def list(self, timeout: float | None = None) -> tuple[SavedMap, ...]:
        """The saved maps, by name."""
        return self.start.list(timeout).result()

    def save(self, name: str = "", timeout: float | None = None) -> str:
        """Writes the map under a name, "" for its present one. Returns what the node says."""
        return self.start.save(name, timeout).result()

    def load(self, name: str, timeout: float | None = None) -> str:
        """Replaces the map by a saved one. Returns what the node says."""
        return self.start.load(name, timeout).result()

    def clear(self, timeout: float | None = None) -> None:
        """Forgets everything."""
        self.start.clear(timeout).result()

    def forget(
        self,
        things: Sequence[MapThing | str] = (),
        *,
        label: str = "",
        within: Corners | None = None,
        before: int = 0,
        timeout: float | None = None,
    ) -> int:
        """Takes things out of the map and out of the memory.

        Args:
            things: Or their ids.
            label: All that are called so.
            within: All in the box of these corners (3,), metres.
            before: Nanoseconds; what was last seen before.
            timeout: Seconds.

        Returns:
            How many were forgotten.
        """
        return self.start.forget(things, label=label, within=within, before=before, timeout=timeout).result()

    # Topics of the node.

    def latest_cloud(self, timeout: float | None = None) -> MapCloud:
        """The surface as points."""
        return self.start.latest_cloud(timeout).result()

    def latest_detections(self, timeout: float | None = None) -> Detections3D:
        """The confirmed things of the map; ``track_id`` is their id."""
        return self.start.latest_detections(timeout).result()

    def latest_grid(self, timeout: float | None = None, *, semantic: bool = False) -> MapGrid:
        """The ground from above; semantic: similarity with the best of the node's ``queries``."""
        return self.start.latest_grid(timeout, semantic=semantic).result()

    def latest_mesh(self, timeout: float | None = None) -> MapMesh:
        """The surface as coloured triangles."""
        return self.start.latest_mesh(timeout).result()

    def cloud(self, timeout: float | None = None) -> Stream[MapCloud]:
        """An iterator over clouds; timeout: seconds without a message after which it raises."""
        return self._stream(self._topics.cloud, timeout)

    def detections(self, timeout: float | None = None) -> Stream[Detections3D]:
        """An iterator over the confirmed things."""
        return self._stream(self._topics.detections, timeout)

    def grid(self, timeout: float | None = None, *, semantic: bool = False) -> Stream[MapGrid]:
        """An iterator over grids."""
        return self._stream(self._topics.semantic_grid if semantic else self._topics.grid, timeout)

    def mesh(self, timeout: float | None = None) -> Stream[MapMesh]:
        """An iterator over meshes."""
        return self._stream(self._topics.mesh, timeout)
