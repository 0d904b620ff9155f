"""Results of MapClient's requests: things, sightings, poses, saved maps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from perception_contrast_msgs.msg import MapObject as MapObjectMessage

from perception_contrast.client.identified_results import box_from_message
from perception_contrast.client.result_types import Stamped
from perception_contrast.core.arrays import Float64Array
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.geometry.boxes import Box3D
from perception_contrast.ros.messages.image_messages import nanoseconds

_STATUS = {
    MapObjectMessage.CONFIRMED: "confirmed",
    MapObjectMessage.UNCONFIRMED: "unconfirmed",
    MapObjectMessage.GONE: "gone",
}
_ANSWERS = ("found", "unconfirmed", "direction", "not_seen")


@dataclass(frozen=True)
class MapThing:
    """A thing of the map, or a place that may be one.

    Attributes:
        id: Stays with the thing; "" for a place without a thing.
        label: Its most frequent label; "" for a place.
        score: Probability that it is what was asked for.
        status: "confirmed", "unconfirmed" or "gone".
        box: Box in the map's frame.
        first_seen: Nanoseconds.
        last_seen: Nanoseconds.
        sightings: Number of frames that it was seen in.
        thumbnail: JPEG, if it was asked for; otherwise empty.
    """

    id: str
    label: str
    score: float
    status: str
    box: Box3D
    first_seen: int
    last_seen: int
    sightings: int
    thumbnail: bytes = b""

    @property
    def position(self) -> Float64Array:
        """(3,) metres in the map, the centre of its box."""
        return self.box.center


@dataclass(frozen=True)
class MapFinding(Stamped):
    """The answer of the map to one question; ``frame_id`` is the map's frame.

    Attributes:
        answer: "found", "unconfirmed", "direction" or "not_seen".
        message: The answer in words.
        things: The things that match, the best first.
        directions: (n, 6) float64, rays towards what was seen from afar: origin in metres and unit vector.
    """

    answer: str
    message: str
    things: tuple[MapThing, ...] = ()
    directions: Float64Array = field(default_factory=lambda: np.zeros((0, 6)))

    @property
    def best(self) -> MapThing | None:
        """The first thing; None if nothing was found."""
        return self.things[0] if self.things else None


@dataclass(frozen=True)
class ApproachPose(Stamped):
    """Where to stand to face a thing.

    Attributes:
        x: Metres in the map.
        y: Metres in the map.
        yaw: Radians about z; the robot faces the thing.
        thing: The thing.
        pose: geometry_msgs/PoseStamped, for Nav2's NavigateToPose.
    """

    x: float
    y: float
    yaw: float
    thing: MapThing
    pose: Any


@dataclass(frozen=True)
class MapSighting:
    """A thing as one image showed it.

    Attributes:
        id: Number of the sighting; larger for those that were stored later.
        stamp: Time of the image in nanoseconds.
        thing_id: As ``MapThing.id``.
        label: Label of the thing in this image.
        score: Cosine with what was asked for; without words or a vector, confidence of the detection.
        camera: Name of the camera; "" for a single camera without a name.
        pose: The camera's optical frame (REP 103) in the map; None if it is not known.
        box: Box in the map, along its axes.
        thumbnail: JPEG, if there is one and it was asked for; otherwise empty.
    """

    id: int
    stamp: int
    thing_id: str
    label: str
    score: float
    camera: str
    pose: RigidTransform | None
    box: Box3D
    thumbnail: bytes = b""


@dataclass(frozen=True)
class Recollection(Stamped):
    """What the memory of the map holds; ``frame_id`` is the map's frame.

    Attributes:
        sightings: In the order that was asked for.
        space: Embedding space of the comparison; "" without words or a vector.
    """

    sightings: tuple[MapSighting, ...]
    space: str


@dataclass(frozen=True)
class SavedMap:
    """A map on the disk.

    Attributes:
        name: As ``load`` takes it.
        problem: Why it cannot be read, "" if it can.
        objects: Number of things.
        voxels: Number of voxels.
        bytes: Of all its files.
        created: Nanoseconds since 1970; 0 for one that cannot be read.
        updated: Nanoseconds since 1970.
        semantic_space: Of its vectors that are comparable with texts.
        spatial_space: Of its vectors of the image encoder.
        current: Whether it is the one that is written as the map grows.
    """

    name: str
    problem: str
    objects: int
    voxels: int
    bytes: int
    created: int
    updated: int
    semantic_space: str
    spatial_space: str
    current: bool


def thing_from_map_object(message: Any) -> MapThing:
    """A MapObject message as a MapThing."""
    return MapThing(
        str(message.id),
        str(message.label),
        float(message.score),
        _STATUS.get(int(message.status), "unconfirmed"),
        box_from_message(message.box),
        nanoseconds(message.first_seen),
        nanoseconds(message.last_seen),
        int(message.sightings),
        bytes(message.thumbnail.data),
    )


def finding_from_response(response: Any) -> MapFinding:
    """Of a FindObjects response."""
    rays = [
        (one.x, one.y, one.z, to.x, to.y, to.z)
        for one, to in zip(response.origins, response.directions, strict=True)
    ]
    return MapFinding(
        response.header,
        _ANSWERS[int(response.answer)],
        str(response.message),
        tuple(thing_from_map_object(one) for one in response.objects),
        np.array(rays, float).reshape(-1, 6),
    )


def approach_from_response(response: Any) -> ApproachPose:
    """Of an ApproachObject response."""
    pose = response.pose.pose
    yaw = 2.0 * math.atan2(pose.orientation.z, pose.orientation.w)
    return ApproachPose(
        response.pose.header,
        float(pose.position.x),
        float(pose.position.y),
        yaw,
        thing_from_map_object(response.object),
        response.pose,
    )


def recollection_from_response(response: Any) -> Recollection:
    """Of a RecallSightings response."""
    sightings = tuple(_sighting(one) for one in response.sightings)
    return Recollection(response.header, sightings, str(response.space))


def saved_maps_from_response(response: Any) -> tuple[SavedMap, ...]:
    """Of a ListMaps response."""
    return tuple(
        SavedMap(
            one.name,
            one.problem,
            int(one.objects),
            int(one.voxels),
            int(one.bytes),
            nanoseconds(one.created),
            nanoseconds(one.updated),
            one.semantic_space,
            one.spatial_space,
            one.name == response.current,
        )
        for one in response.maps
    )


def _sighting(message: Any) -> MapSighting:
    place, turn = message.pose.position, message.pose.orientation
    pose = (
        RigidTransform.of_quaternion((place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w))
        if message.has_pose
        else None
    )
    return MapSighting(
        int(message.id),
        nanoseconds(message.stamp),
        str(message.object_id),
        str(message.label),
        float(message.score),
        str(message.camera),
        pose,
        box_from_message(message.box),
        bytes(message.thumbnail.data),
    )
