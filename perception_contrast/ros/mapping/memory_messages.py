"""Sightings of the memory and saved maps as messages."""

from __future__ import annotations

import numpy as np
from perception_contrast_msgs.msg import ObjectSighting
from perception_contrast_msgs.msg import SavedMap as SavedMapMessage
from sensor_msgs.msg import CompressedImage

from perception_contrast.mapping.geometry.boxes import Box3D
from perception_contrast.mapping.storage.map_folder import MapInfo
from perception_contrast.memory.sightings import Match, Sighting
from perception_contrast.ros.mapping.map_messages import pose_message
from perception_contrast.ros.messages.detection_messages import box_message
from perception_contrast.ros.messages.image_messages import time_message


def sighting_message(found: Match[Sighting], *, thumbnail: bool = False) -> ObjectSighting:
    """A sighting of the memory.

    Args:
        found: With the score that it answers with.
        thumbnail: With its image.
    """
    one = found.item
    low, high = np.array(one.low), np.array(one.high)
    message = ObjectSighting(
        id=one.id,
        stamp=time_message(one.stamp),
        object_id=str(one.object_id),
        label=one.label,
        score=float(found.score),
        camera=one.camera,
        has_pose=one.pose is not None,
        box=box_message(Box3D((low + high) / 2, high - low)),
    )
    if one.pose is not None:
        message.pose = pose_message(one.pose)
    if thumbnail and one.thumbnail:
        message.thumbnail = CompressedImage(format="jpeg", data=one.thumbnail)
    return message


def saved_map_message(info: MapInfo) -> SavedMapMessage:
    """A map on the disk."""
    message = SavedMapMessage(name=info.name, problem=info.problem, bytes=info.bytes)
    if info.manifest is not None:
        header, counts = info.manifest.header, info.manifest.counts
        message.objects, message.voxels = counts.get("objects", 0), counts.get("voxels", 0)
        message.created, message.updated = time_message(header.created), time_message(header.updated)
        message.semantic_space, message.spatial_space = header.semantic_space, header.spatial_space
    return message
