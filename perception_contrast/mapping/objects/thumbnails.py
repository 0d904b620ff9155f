"""The best crop of an object as a small JPEG."""

from __future__ import annotations

import cv2
import numpy as np

from perception_contrast.core.arrays import Box, RgbImage
from perception_contrast.core.detection import Detection
from perception_contrast.mapping.objects.map_object import Thumbnail

# Around the box, of its longer side: a thing is told more easily with something of where it stands.
_BORDER = 0.15
_QUALITY = 85
# A crop that is hardly better is not worth the encoding.
_BETTER = 1.15
# Of a thing that the image cuts off.
_CUT = 0.5


def crop_quality(detection: Detection, image: RgbImage) -> float:
    """How well a detection shows its thing: sure, large, and not cut off by the image's border."""
    x0, y0, x1, y1 = detection.box
    height, width = image.shape[:2]
    size = float(np.sqrt(np.count_nonzero(detection.mask) / (height * width)))
    cut = x0 <= 0 or y0 <= 0 or x1 >= width or y1 >= height
    return detection.scores.probability * size * (_CUT if cut else 1.0)


def better_thumbnail(known: Thumbnail, detection: Detection, image: RgbImage | None, side: int) -> Thumbnail:
    """The crop of a detection where it is clearly better than ``known``, else ``known``.

    Args:
        known: The best so far.
        detection: With a box in the image.
        image: (H, W, 3) uint8 RGB; None leaves what is known.
        side: Longer side of the crop at most, pixels.
    """
    if image is None:
        return known
    quality = crop_quality(detection, image)
    if known.jpeg and quality <= _BETTER * known.quality:
        return known
    jpeg = _encoded(image, detection.box, side)
    return Thumbnail(jpeg, quality) if jpeg else known


def _encoded(image: RgbImage, box: Box, side: int) -> bytes:
    x0, y0, x1, y1 = box
    border = round(_BORDER * max(x1 - x0, y1 - y0))
    height, width = image.shape[:2]
    crop = image[
        max(y0 - border, 0) : min(y1 + border, height), max(x0 - border, 0) : min(x1 + border, width)
    ]
    if not crop.size:
        return b""
    factor = side / max(crop.shape[:2])
    if factor < 1:
        size = (max(round(crop.shape[1] * factor), 1), max(round(crop.shape[0] * factor), 1))
        crop = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", crop[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes() if done else b""
