"""The methods of MapClient without waiting: each returns a future."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perception_contrast_msgs.action import FindObjects as LookFor
from perception_contrast_msgs.msg import Embedding
from perception_contrast_msgs.srv import (
    ApproachObject,
    FindObjects,
    ForgetObjects,
    ListMaps,
    LoadMap,
    RecallSightings,
    SaveMap,
)
from std_srvs.srv import Trigger

from perception_contrast.client.action_calls import ActionCaller
from perception_contrast.client.background_node import BackgroundNode
from perception_contrast.client.futures import ClientFuture, map_future
from perception_contrast.client.identified_results import Detections3D
from perception_contrast.client.map_layers import MapCloud, MapGrid, MapMesh
from perception_contrast.client.map_results import (
    ApproachPose,
    MapFinding,
    MapThing,
    Recollection,
    SavedMap,
    approach_from_response,
    finding_from_response,
    recollection_from_response,
    saved_maps_from_response,
    thing_from_map_object,
)
from perception_contrast.client.map_topics import MapTopics
from perception_contrast.client.node_requests import NodeRequests
from perception_contrast.client.result_types import Vectors
from perception_contrast.client.target import Target
from perception_contrast.core.errors import QueryError
from perception_contrast.ros.messages.image_messages import time_message

Corners = tuple[Sequence[float], Sequence[float]]
# Seconds that a goal outlives a client that died.
_GOAL_GRACE = 5.0


class MapRequests(NodeRequests):
    """The methods of MapClient, which documents them; each returns a ``ClientFuture`` at once.

    Args:
        timeout: Seconds of a request by default.
    """

    def __init__(self, background: BackgroundNode, target: Target, topics: MapTopics, timeout: float) -> None:
        super().__init__(background, target, topics, timeout)
        self._topics = topics
        self._look = ActionCaller(background, LookFor, target.service("look_for"), self._caller)

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
    ) -> ClientFuture[MapFinding]:
        request = FindObjects.Request(
            text=text,
            label=label,
            min_score=float(min_score),
            include_gone=include_gone,
            thumbnails=thumbnails,
            max_results=max_results,
            since=time_message(since),
        )
        _fill_question(request, exemplar, near, radius)
        if within is not None:
            _fill_box(request.within, *within)
        return map_future(self._ask(FindObjects, "find", request, timeout), finding_from_response)

    def look_for(
        self,
        text: str = "",
        *,
        label: str = "",
        exemplar: Vectors | None = None,
        min_score: float = 0.0,
        timeout: float | None = None,
        on_progress: Callable[[tuple[MapThing, ...]], Any] = lambda _: None,
    ) -> ClientFuture[MapThing]:
        seconds = self._timeout if timeout is None else timeout
        goal = LookFor.Goal(text=text, label=label, min_score=float(min_score), timeout=seconds + _GOAL_GRACE)
        if exemplar is not None:
            goal.exemplar = embedding_message(exemplar)
        what = text or label or "the example"
        found = self._look.send(
            goal,
            seconds,
            f"'{what}' was not seen within {seconds:g} s",
            lambda feedback: on_progress(tuple(map(thing_from_map_object, feedback.best))),
        )
        return map_future(found, lambda result: thing_from_map_object(result.object))

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
    ) -> ClientFuture[Recollection]:
        request = RecallSightings.Request(
            text=text,
            object_id=thing if isinstance(thing, str) else thing.id,
            label=label,
            since=time_message(since),
            until=time_message(until),
            oldest_first=oldest_first,
            thumbnails=thumbnails,
            max_results=max_results,
        )
        _fill_question(request, exemplar, near, radius)
        return map_future(self._ask(RecallSightings, "recall", request, timeout), recollection_from_response)

    def approach(
        self, thing: MapThing | str, distance: float = 0.0, timeout: float | None = None
    ) -> ClientFuture[ApproachPose]:
        request = ApproachObject.Request(distance=float(distance))
        if isinstance(thing, str):
            request.text = thing
        else:
            request.id = thing.id
        return map_future(self._ask(ApproachObject, "approach", request, timeout), approach_from_response)

    def list(self, timeout: float | None = None) -> ClientFuture[tuple[SavedMap, ...]]:
        return map_future(self._ask(ListMaps, "list", ListMaps.Request(), timeout), saved_maps_from_response)

    def save(self, name: str = "", timeout: float | None = None) -> ClientFuture[str]:
        return map_future(self._ask(SaveMap, "save", SaveMap.Request(name=name), timeout), _message)

    def load(self, name: str, timeout: float | None = None) -> ClientFuture[str]:
        return map_future(self._ask(LoadMap, "load", LoadMap.Request(name=name), timeout), _message)

    def clear(self, timeout: float | None = None) -> ClientFuture[None]:
        return map_future(self._ask(Trigger, "clear", Trigger.Request(), timeout), lambda _: None)

    def forget(
        self,
        things: Sequence[MapThing | str] = (),
        *,
        label: str = "",
        within: Corners | None = None,
        before: int = 0,
        timeout: float | None = None,
    ) -> ClientFuture[int]:
        ids = [one if isinstance(one, str) else one.id for one in things]
        request = ForgetObjects.Request(ids=ids, label=label, before=time_message(before))
        if within is not None:
            _fill_box(request.within, *within)
        return map_future(
            self._ask(ForgetObjects, "forget", request, timeout), lambda one: int(one.forgotten)
        )

    def latest_cloud(self, timeout: float | None = None) -> ClientFuture[MapCloud]:
        return self._message(self._topics.cloud, timeout, newest=True)

    def latest_detections(self, timeout: float | None = None) -> ClientFuture[Detections3D]:
        return self._message(self._topics.detections, timeout, newest=True)

    def latest_grid(self, timeout: float | None = None, *, semantic: bool = False) -> ClientFuture[MapGrid]:
        topic = self._topics.semantic_grid if semantic else self._topics.grid
        return self._message(topic, timeout, newest=True)

    def latest_mesh(self, timeout: float | None = None) -> ClientFuture[MapMesh]:
        return self._message(self._topics.mesh, timeout, newest=True)

    def _ask(self, kind: Any, name: str, request: Any, timeout: float | None) -> ClientFuture[Any]:
        return self._call(kind, self._target.service(name), request, timeout)


def embedding_message(exemplar: Vectors) -> Embedding:
    """One row of vectors as an Embedding. Raises QueryError for another number of rows."""
    if len(exemplar.vectors) != 1:
        raise QueryError(f"{len(exemplar.vectors)} vectors as an example; give one row")
    return Embedding(
        model=exemplar.model, space=exemplar.space, normalized=True, data=exemplar.vectors[0].tolist()
    )


def _message(response: Any) -> str:
    return str(response.message)


def _fill_question(
    request: Any, exemplar: Vectors | None, near: Sequence[float] | None, radius: float
) -> None:
    if exemplar is not None:
        request.exemplar = embedding_message(exemplar)
    if near is not None:
        request.near.x, request.near.y, request.near.z = (float(value) for value in near)
        request.radius = float(radius)


def _fill_box(message: Any, low: Sequence[float], high: Sequence[float]) -> None:
    for axis, first, last in zip("xyz", low, high, strict=True):
        setattr(message.center.position, axis, (float(first) + float(last)) / 2)
        setattr(message.size, axis, float(last) - float(first))
