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
    """Sends requests to one map_node; ``PerceptionClient.map`` is a MapClient.

    Every method waits for its result. ``start`` has the same methods without waiting; they return a
    ClientFuture. All methods raise what the methods of PerceptionClient raise.

    Args:
        background: Does the work.
        target: The map_node.
        timeout: Seconds that a method waits by default.
        linger: Seconds that a subscription continues after its last use.
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
        """Asks where something is; give words, a label or an exemplar.

        Args:
            text: Words for it.
            label: Label of its detections.
            exemplar: One vector as a row, as ``add_exemplar`` and ``embed_text`` return it.
            near: (3,) metres in the map; only what lies within ``radius`` of it counts.
            radius: Metres.
            within: Lowest and highest corner (3,) of a box in the map, in metres.
            since: Nanoseconds; only what was seen at this time or later counts.
            min_score: Lowest probability; 0 takes the node's.
            include_gone: Include what is no longer there.
            thumbnails: Include images.
            max_results: Largest number of things.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The answer, with the things that match.
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
        """Is ``start.find``.

        Args:
            text: Words for it.
            **filters: Other arguments of ``find``.

        Returns:
            The future answer.
        """
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
        """Waits until something is seen; give words, a label or an exemplar.

        ``start.look_for`` returns a future, whose ``cancel()`` ends the search.

        Args:
            text: Words for it.
            label: Label of its detections.
            exemplar: One vector as a row, as ``add_exemplar`` and ``embed_text`` return it.
            min_score: Lowest probability; 0 takes the node's.
            timeout: Seconds to wait; None takes the default of the client.
            on_progress: Is called twice a second with the best candidates, in the client's thread.

        Returns:
            The thing.

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
        """Asks the map's memory when and where something was seen.

        With words or an exemplar, the most similar sightings come first; otherwise the newest. So
        ``recall(thing=thing, max_results=1)`` tells when a thing was last seen.

        Args:
            text: Words for it.
            exemplar: One vector as a row, comparable with texts.
            thing: Only sightings of this thing, or of the thing with this id.
            label: Only sightings with this label.
            since: Nanoseconds; only what was seen at this time or later.
            until: Nanoseconds; only what was seen at this time or before; 0 for no limit.
            near: (3,) metres in the map; only what lies within ``radius`` of it.
            radius: Metres.
            oldest_first: Put the oldest first, where the order is not by similarity.
            thumbnails: Include images.
            max_results: Largest number of sightings.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The sightings.

        Raises:
            RefusedError: The map has no name and so no memory, or the question makes no sense.
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
        """Asks for a free pose that the robot can reach and that faces a thing.

        Args:
            thing: As ``find`` gave it, or words for one.
            distance: Metres between the robot's centre and the thing's box; 0 takes the node's.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The pose, in the map's frame.

        Raises:
            RefusedError: There is no such pose; the message gives the reason.
        """
        return self.start.approach(thing, distance, timeout).result()

    def start_approach(
        self, thing: MapThing | str, distance: float = 0.0, timeout: float | None = None
    ) -> ClientFuture[ApproachPose]:
        """Is ``start.approach``.

        Args:
            thing: As of ``approach``.
            distance: As of ``approach``.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The future pose.
        """
        return self.start.approach(thing, distance, timeout)

    # Maps on the disk.

    def list(self, timeout: float | None = None) -> tuple[SavedMap, ...]:
        """Lists the saved maps.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The maps, sorted by name.
        """
        return self.start.list(timeout).result()

    def save(self, name: str = "", timeout: float | None = None) -> str:
        """Saves the map.

        Args:
            name: Name of the map; "" for its present name.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The node's message.

        Raises:
            RefusedError: The map cannot be saved; the message gives the reason.
        """
        return self.start.save(name, timeout).result()

    def load(self, name: str, timeout: float | None = None) -> str:
        """Replaces the map by a saved one.

        Args:
            name: Name of the saved map.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The node's message.

        Raises:
            RefusedError: There is no such map, or it cannot be read.
        """
        return self.start.load(name, timeout).result()

    def clear(self, timeout: float | None = None) -> None:
        """Removes everything from the map.

        Args:
            timeout: Seconds to wait; None takes the default of the client.
        """
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
        """Removes things from the map and from its memory.

        Args:
            things: Things or their ids.
            label: All things with this label.
            within: All things in the box of these two corners (3,), in metres in the map.
            before: Nanoseconds; all things that were last seen before this time.
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The number of removed things.
        """
        return self.start.forget(things, label=label, within=within, before=before, timeout=timeout).result()

    # Topics of the node.

    def latest_cloud(self, timeout: float | None = None) -> MapCloud:
        """Gives the newest cloud of the surface.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The points with their colours.
        """
        return self.start.latest_cloud(timeout).result()

    def latest_detections(self, timeout: float | None = None) -> Detections3D:
        """Gives the confirmed things of the map.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The things; ``track_id`` is a thing's id.
        """
        return self.start.latest_detections(timeout).result()

    def latest_grid(self, timeout: float | None = None, *, semantic: bool = False) -> MapGrid:
        """Gives the newest grid of the ground, seen from above.

        Args:
            timeout: Seconds to wait; None takes the default of the client.
            semantic: The grid of similarity with the best of the node's ``queries``, instead of free and
                occupied.

        Returns:
            The grid.
        """
        return self.start.latest_grid(timeout, semantic=semantic).result()

    def latest_mesh(self, timeout: float | None = None) -> MapMesh:
        """Gives the newest mesh of the surface.

        Args:
            timeout: Seconds to wait; None takes the default of the client.

        Returns:
            The coloured triangles.
        """
        return self.start.latest_mesh(timeout).result()

    def cloud(self, timeout: float | None = None) -> Stream[MapCloud]:
        """Iterates over clouds of the surface.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.cloud, timeout)

    def detections(self, timeout: float | None = None) -> Stream[Detections3D]:
        """Iterates over the confirmed things of the map.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.detections, timeout)

    def grid(self, timeout: float | None = None, *, semantic: bool = False) -> Stream[MapGrid]:
        """Iterates over grids of the ground.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.
            semantic: As of ``latest_grid``.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.semantic_grid if semantic else self._topics.grid, timeout)

    def mesh(self, timeout: float | None = None) -> Stream[MapMesh]:
        """Iterates over meshes of the surface.

        Args:
            timeout: Seconds without a message after which the iterator raises; None for no limit.

        Returns:
            The iterator.
        """
        return self._stream(self._topics.mesh, timeout)
