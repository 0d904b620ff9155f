"""Objects, ground and poses of the map as messages, in the map's frame (REP 105)."""

from __future__ import annotations

import array
import zlib
from collections.abc import Iterable

from geometry_msgs.msg import Pose, PoseStamped, TransformStamped, Vector3
from nav_msgs.msg import OccupancyGrid
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesis, ObjectHypothesisWithPose
from visualization_msgs.msg import Marker, MarkerArray

from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.grid.grid_snapshot import GridCells, GridSnapshot
from perception_contrast.mapping.objects.map_object import MapObject
from perception_contrast.ros.messages.detection_messages import box_message
from perception_contrast.visualization.overlay import label_colour

BOXES, LABELS = "boxes", "labels"
"""Namespaces of markers."""

_OPACITY = {"confirmed": 0.5, "unconfirmed": 0.2, "gone": 0.08}
_TEXT_HEIGHT = 0.08
_TEXT_GAP = 0.06


def pose_message(transform: RigidTransform) -> Pose:
    """A RigidTransform as Pose."""
    message = Pose()
    place, turn = message.position, message.orientation
    place.x, place.y, place.z = transform.translation.tolist()
    turn.x, turn.y, turn.z, turn.w = transform.quaternion.tolist()
    return message


def stamped_pose(transform: RigidTransform, header: Header) -> PoseStamped:
    """A RigidTransform from the frame of ``header`` as PoseStamped."""
    return PoseStamped(header=header, pose=pose_message(transform))


def object_transform(thing: MapObject, header: Header, prefix: str = "object_") -> TransformStamped:
    """The frame of an object: the middle of its box, turned as its box.

    Args:
        thing: The object; its frame is called ``prefix`` and its id.
        header: Of the map.
        prefix: Before the id.
    """
    message = TransformStamped(header=header, child_frame_id=f"{prefix}{thing.id}")
    move, turn = message.transform.translation, message.transform.rotation
    move.x, move.y, move.z = thing.box.center.tolist()
    turn.x, turn.y, turn.z, turn.w = thing.box.quaternion.tolist()
    return message


def objects_message(things: Iterable[MapObject], header: Header) -> Detection3DArray:
    """Objects as Detection3DArray: id, box, the label with the object's confidence, and the box's pose."""
    message = Detection3DArray(header=header)
    for one in things:
        box = box_message(one.box)
        hypothesis = ObjectHypothesisWithPose(
            hypothesis=ObjectHypothesis(class_id=one.label, score=float(one.confidence))
        )
        hypothesis.pose.pose = box.center
        message.detections.append(Detection3D(header=header, id=str(one.id), bbox=box, results=[hypothesis]))
    return message


def markers_message(things: Iterable[MapObject], header: Header) -> MarkerArray:
    """Objects as boxes with text, in place of all markers of before.

    A label has one colour everywhere. What is not confirmed is pale, and what is gone nearly transparent.
    """
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    for one in things:
        red, green, blue = (value / 255.0 for value in label_colour(zlib.crc32(one.label.encode())))
        cube = Marker(header=header, ns=BOXES, id=one.id, type=Marker.CUBE, action=Marker.ADD)
        box = box_message(one.box)
        cube.pose, cube.scale = box.center, box.size
        cube.color = ColorRGBA(r=red, g=green, b=blue, a=_OPACITY[one.status])
        text = Marker(header=header, ns=LABELS, id=one.id, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD)
        text.pose.position.x, text.pose.position.y = one.box.center[:2].tolist()
        text.pose.position.z = float(one.box.center[2] + one.box.size[2] / 2 + _TEXT_GAP)
        text.pose.orientation.w, text.scale = 1.0, Vector3(z=_TEXT_HEIGHT)
        text.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
        doubt = "" if one.status == "confirmed" else f", {one.status}"
        text.text = f"{one.label} {one.confidence:.2f}{doubt}"
        markers += [cube, text]
    return MarkerArray(markers=markers)


def grid_message(grid: GridSnapshot, header: Header, cells: GridCells | None = None) -> OccupancyGrid:
    """A grid as OccupancyGrid, on the height of the floor.

    Args:
        grid: The grid.
        header: Of the map; its stamp is also that of ``map_load_time``.
        cells: (rows, columns) int8 that are shown in place of the grid's own, as of ``semantic_cells``.
    """
    values = grid.cells if cells is None else cells
    message = OccupancyGrid(header=header)
    message.info.map_load_time, message.info.resolution = header.stamp, grid.resolution
    message.info.height, message.info.width = values.shape
    origin = message.info.origin
    origin.position.x, origin.position.y, origin.position.z = *grid.origin, grid.floor
    origin.orientation.w = 1.0
    message.data = array.array("b", values.tobytes())
    return message
