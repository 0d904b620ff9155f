"""Images of the client: a camera's own, the overlay, the features as colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from perception_contrast.client.node_diagnostics import Diagnostics
from perception_contrast.client.result_types import Stamped
from perception_contrast.client.topic_subscription import Source, TopicSubscription
from perception_contrast.images.headers import JPEG_MAGIC, PNG_MAGIC
from perception_contrast.ros.messages.image_messages import image_array, jpeg_message

_KINDS = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}
_FILES = {"jpeg": JPEG_MAGIC, "png": PNG_MAGIC}


@dataclass(frozen=True)
class CameraImage(Stamped):
    """An image as it was sent, decoded when its pixels are first read.

    Attributes:
        encoded: The JPEG or PNG file of a compressed image; None for a raw one.
        format: "jpeg" or "png"; for a raw image its encoding, such as "rgb8".
    """

    encoded: bytes | None
    format: str
    _message: Any = field(repr=False, compare=False)

    @property
    def nbytes(self) -> int:
        """Bytes of the data that was sent."""
        return len(self._message.data)

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB; it may be a read-only view of the message.

        Raises:
            FrameError: The image cannot be decoded.
        """
        return image_array(self._message)

    def jpeg(self, quality: int = 80) -> bytes:
        """Gives the image as a JPEG file, for a browser; a JPEG is passed on as it was sent.

        Args:
            quality: 1 to 100, if the image has to be encoded.

        Returns:
            The bytes of the file.

        Raises:
            FrameError: The raw image or PNG cannot be decoded.
        """
        if self.encoded is not None and self.format == "jpeg" and not _is_recoded(self._message.format):
            return self.encoded
        return bytes(jpeg_message(self.pixels, self.header, quality).data)


def camera_image(message: Any) -> CameraImage:
    """Of a sensor_msgs/Image or CompressedImage; nothing is decoded."""
    if isinstance(message, Image):
        return CameraImage(message.header, None, str(message.encoding), message)
    encoded = bytes(message.data)
    known = next((name for name, magic in _FILES.items() if encoded.startswith(magic)), str(message.format))
    return CameraImage(message.header, encoded, known, message)


def _is_recoded(image_format: str) -> bool:
    """Whether image_transport did to an image what only a decoder that knows of it undoes.

    A Bayer mosaic was stored as a grey image, or red and blue were exchanged.
    """
    return image_format.startswith("bayer") or "compressed rgb" in image_format


def image_source(node: Any, topic: str) -> Source | None:
    """A topic of images with the type that its publishers have; None while it has none.

    Args:
        node: An rclpy node.
        topic: Full name.
    """
    types = (one.topic_type for one in node.get_publishers_info_by_topic(topic))
    kind = next((_KINDS[one] for one in types if one in _KINDS), None)
    return None if kind is None else Source(topic, kind)


def reported_image_source(
    node: Any, camera: str, diagnostics: TopicSubscription
) -> Callable[[], Source | None]:
    """Looks for the topic that a perception_node reads a camera's images from, which its diagnostics name.

    Args:
        node: An rclpy node.
        camera: Name, "" for the only one.
        diagnostics: Gives tuples of Diagnostics.
    """

    def find() -> Source | None:
        diagnostics.keep()
        statuses: tuple[Diagnostics, ...] = diagnostics.newest or ()
        topics = (one.values.get("input/topic", "") for one in statuses if one.camera == camera)
        topic = next(filter(None, topics), "")
        return image_source(node, topic) if topic else None

    return find
