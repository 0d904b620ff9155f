"""The services of map_node: find, recall, approach, list, save, load, clear, forget."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from geometry_msgs.msg import Point, Vector3
from perception_contrast_msgs.srv import (
    ApproachObject,
    FindObjects,
    ForgetObjects,
    ListMaps,
    LoadMap,
    RecallSightings,
    SaveMap,
)
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from perception_contrast.core.arrays import Float64Array
from perception_contrast.core.counted import counted
from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.core.errors import PerceptionError, QueryError
from perception_contrast.mapping.answers.map_answer import MapAnswer
from perception_contrast.mapping.answers.map_query import FindFilters, MapQuery
from perception_contrast.ros.mapping.map_control import MapControl
from perception_contrast.ros.mapping.map_messages import stamped_pose
from perception_contrast.ros.mapping.memory_messages import saved_map_message, sighting_message
from perception_contrast.ros.mapping.object_messages import hit_message, object_message
from perception_contrast.ros.mapping.request_filters import (
    box_of,
    filters_of,
    recall_filters_of,
    unit_vector,
)
from perception_contrast.ros.messages.image_messages import nanoseconds

_MOST_FOUND = 32
_MOST_RECALLED = 1000


class MapServices:
    """Offers the services; a refused request changes nothing and says why.

    Args:
        node: Owner of the services.
        control: The map and all that changes it.
        frame: Of the map.
        state: Gives the lifecycle state of the node.

    Attributes:
        found: Ids of the objects that the last answers named, for their TF frames.
    """

    def __init__(
        self, node: LifecycleNode, control: MapControl, frame: str, state: Callable[[], str]
    ) -> None:
        self._node, self._control, self._frame, self._state = node, control, frame, state
        self.found: deque[int] = deque(maxlen=_MOST_FOUND)
        for kind, name, handler in (
            (FindObjects, "find", self._find),
            (RecallSightings, "recall", self._recall),
            (ApproachObject, "approach", self._approach),
            (ListMaps, "list", self._list),
            (SaveMap, "save", self._save),
            (LoadMap, "load", self._load),
            (ForgetObjects, "forget", self._forget),
            (Trigger, "clear", self._clear),
        ):
            group = MutuallyExclusiveCallbackGroup()
            node.create_service(
                kind, f"~/{name}", partial(self._respond, name, handler), callback_group=group
            )

    def _respond(self, name: str, handler: Callable[[Any, Any], None], request: Any, response: Any) -> Any:
        """Turns errors into success=False with their message, so that none reaches the executor."""
        try:
            self.require_active()
            handler(request, response)
            response.success = True
        except PerceptionError as error:
            response = type(response)(success=False, message=str(error))
        except Exception as error:
            self._node.get_logger().error(f"service {name} failed: {error!r}")
            response = type(response)(success=False, message=f"internal error: {error!r}")
        return response

    def require_active(self) -> None:
        """Raises QueryError while the node is not active."""
        state = self._state()
        if state != "active":
            name = self._node.get_fully_qualified_name()
            raise QueryError(f"not active: the node is {state}; use `ros2 lifecycle set {name}`")

    def header(self) -> Header:
        """Of the map, now."""
        return Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._frame)

    def _find(self, request: Any, response: Any) -> None:
        query = self.query(request.text, request.label, request.exemplar)
        answer = self._control.find(query, filters_of(request, self._control.requests.min_score))
        response.header, response.space = self.header(), self._control.map.semantic_space
        fill_answer(response, answer, thumbnails=bool(request.thumbnails))
        self.note_found(answer)

    def note_found(self, answer: MapAnswer) -> None:
        """Remembers the objects of an answer, whose TF frames may be wanted."""
        for hit in answer.hits:
            if hit.thing is not None:
                if hit.thing.id in self.found:
                    self.found.remove(hit.thing.id)
                self.found.append(hit.thing.id)

    def query(self, text: str, label: str, exemplar: Any) -> MapQuery:
        """The question of a request, which has one of the three. Raises QueryError, SpaceError."""
        given = [bool(text.strip()), bool(label.strip()), len(exemplar.data) > 0]
        if sum(given) != 1:
            raise QueryError(f"{sum(given)} questions in one request; give one of text, exemplar and label")
        if given[0]:
            return self._control.query_of_words(text.strip())
        if given[1]:
            return MapQuery(label=label.strip())
        rows = unit_vector(exemplar)[None]
        own = self._control.map
        if own.spatial_space and exemplar.space == own.spatial_space:
            return MapQuery(spatial_exemplars=rows)
        require_same_space(exemplar.space, own.semantic_space, "an exemplar for the map")
        return MapQuery(semantic_exemplars=rows)

    def _approach(self, request: Any, response: Any) -> None:
        if bool(request.id.strip()) == bool(request.text.strip()):
            raise QueryError("give the id of a thing, or words for one: exactly one of `id` and `text`")
        if request.id.strip():
            thing = self._control.object_of(request.id.strip())
        else:
            answer = self._control.find(
                self._control.query_of_words(request.text.strip()),
                FindFilters(min_score=self._control.requests.min_score, max_results=1),
            )
            found = [hit.thing for hit in answer.hits if hit.thing is not None]
            if not found:
                raise QueryError(f"there is no thing to go to: {answer.message}")
            thing = found[0]
        if thing.status == "gone":
            raise QueryError(f"'{thing.label}' {thing.id} is not there any more, so there is nothing to face")
        if not (math.isfinite(request.distance) and request.distance >= 0):
            raise QueryError(f"distance {request.distance:g} is no length; give metres, or 0 for the default")
        place = self._control.approach(thing, float(request.distance))
        response.pose = stamped_pose(place.pose, self.header())
        response.object = object_message(thing, thing.confidence)
        response.message = f"'{thing.label}' from {place.distance:.2f} m"

    def _recall(self, request: Any, response: Any) -> None:
        text, exemplar = request.text.strip(), request.exemplar
        if text and len(exemplar.data):
            raise QueryError("two questions in one request; give `text` or `exemplar`")
        filters = recall_filters_of(request)
        vector, space = None, ""
        if text:
            vector, space = self._control.vector_of_words(text)
        elif len(exemplar.data):
            vector, space = unit_vector(exemplar), str(exemplar.space)
            require_same_space(space, self._control.map.semantic_space, "an exemplar for the memory")
        found = self._control.recall(
            filters,
            None if vector is None else (vector, space),
            limit=min(int(request.max_results) or 10, _MOST_RECALLED),
            oldest_first=bool(request.oldest_first),
        )
        response.header, response.space = self.header(), space
        response.sightings = [sighting_message(one, thumbnail=bool(request.thumbnails)) for one in found]
        response.message = f"{len(found)} sightings"

    def _list(self, _: Any, response: Any) -> None:
        maps, response.current = self._control.saved_maps()
        response.maps = [saved_map_message(one) for one in maps]
        response.message = f"{len(maps)} maps"

    def _save(self, request: Any, response: Any) -> None:
        summary = self._control.save(request.name.strip())
        response.message = f"saved as '{summary.name}'"
        response.objects, response.voxels = summary.objects, summary.voxels

    def _load(self, request: Any, response: Any) -> None:
        summary = self._control.load(request.name.strip())
        response.message = f"loaded '{summary.name}'"
        response.objects, response.voxels = summary.objects, summary.voxels

    def _clear(self, request: Any, response: Any) -> None:
        self._control.clear()
        response.message = "the map is empty"

    def _forget(self, request: Any, response: Any) -> None:
        box = box_of(request.within)
        before = nanoseconds(request.before)
        if not (request.ids or request.label.strip() or box is not None or before):
            raise QueryError("nothing says what to forget; give ids, a label, a box or a time")
        count = self._control.forget(list(request.ids), request.label.strip(), box, before)
        response.forgotten, response.message = count, f"{counted(count, 'thing')} forgotten"


def fill_answer(response: Any, answer: MapAnswer, *, thumbnails: bool) -> None:
    """Writes an answer into a FindObjects response; thumbnails: with images of the things."""
    response.answer, response.message = int(answer.kind), answer.message
    response.objects = [hit_message(hit, thumbnails=thumbnails) for hit in answer.hits]
    response.origins = [_as(Point, one.origin) for one in answer.directions]
    response.directions = [_as(Vector3, one.direction) for one in answer.directions]
    response.direction_scores = [float(one.score) for one in answer.directions]


def _as(kind: Any, values: Float64Array) -> Any:
    x, y, z = (float(value) for value in values)
    return kind(x=x, y=y, z=z)
