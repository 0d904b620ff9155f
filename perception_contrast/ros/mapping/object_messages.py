"""Objects of the map as messages."""

from __future__ import annotations

from perception_contrast_msgs.msg import MapObject as MapObjectMessage
from sensor_msgs.msg import CompressedImage

from perception_contrast.mapping.answers.map_answer import Hit
from perception_contrast.mapping.objects.map_object import MapObject
from perception_contrast.ros.messages.detection_messages import box_message
from perception_contrast.ros.messages.image_messages import time_message

_STATUS = {
    "confirmed": MapObjectMessage.CONFIRMED,
    "unconfirmed": MapObjectMessage.UNCONFIRMED,
    "gone": MapObjectMessage.GONE,
}


def object_message(thing: MapObject, score: float, *, thumbnail: bool = False) -> MapObjectMessage:
    """An object of the map.

    Args:
        thing: The object.
        score: Probability that it is what was asked for.
        thumbnail: With its image.
    """
    message = MapObjectMessage(
        id=str(thing.id),
        label=thing.label,
        score=float(score),
        status=_STATUS[thing.status],
        box=box_message(thing.box),
        first_seen=time_message(thing.first_seen),
        last_seen=time_message(thing.last_seen),
        sightings=int(thing.sightings),
    )
    if thumbnail and thing.thumbnail.jpeg:
        message.thumbnail = CompressedImage(format="jpeg", data=thing.thumbnail.jpeg)
    return message


def hit_message(hit: Hit, *, thumbnails: bool = False) -> MapObjectMessage:
    """A hit of an answer. A place without an object has no id and no label.

    Args:
        hit: The hit.
        thumbnails: With the image of the thing.
    """
    if hit.thing is not None:
        return object_message(hit.thing, hit.score, thumbnail=thumbnails)
    seen = time_message(hit.last_seen)
    return MapObjectMessage(
        score=float(hit.score),
        status=MapObjectMessage.UNCONFIRMED,
        box=box_message(hit.box),
        first_seen=seen,
        last_seen=seen,
    )
