"""The small images that maps and memories keep: JPEG and back."""

from __future__ import annotations

from perception_contrast.core.arrays import RgbImage
from perception_contrast.core.errors import FrameError
from perception_contrast.images.compressed import decode_compressed


def stored_image(jpeg: bytes) -> RgbImage | None:
    """(H, W, 3) uint8 RGB of a stored image; None where there is none, or it is damaged."""
    try:
        return decode_compressed(jpeg, "jpeg") if jpeg else None
    except FrameError:
        return None
