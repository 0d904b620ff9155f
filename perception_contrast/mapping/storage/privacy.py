"""The privacy hook: what may be done to an image and its vector before they are stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

import cv2
import numpy as np

from perception_contrast.core.arrays import FloatArray, RgbImage
from perception_contrast.core.errors import FrameError
from perception_contrast.images.files import encode_image
from perception_contrast.mapping.storage.map_state import ObjectRecord
from perception_contrast.mapping.storage.stored_images import stored_image

ImageKind: TypeAlias = Literal["object", "keyframe"]
_BLURRED_SIDE = 8  # pixels that are left of an image's longer side


@dataclass(frozen=True)
class Shot:
    """An image that is about to be stored.

    Attributes:
        kind: The crop of an object, or a whole image.
        jpeg: Its bytes, or b"" where there is no image.
        vector: (c,) that is stored with it, or None.
        stamp: Of the image, nanoseconds.
        labels: The object's, or what was detected in the image.
        position: Of the object, or of the camera, in the map frame, metres.
    """

    kind: ImageKind
    jpeg: bytes
    vector: FloatArray | None
    stamp: int
    labels: tuple[str, ...]
    position: tuple[float, float, float]

    def image(self) -> RgbImage | None:
        """(H, W, 3) uint8 RGB; None where there is no image that can be decoded."""
        return stored_image(self.jpeg)

    def with_image(self, image: RgbImage | None) -> Shot:
        """The same with another image, (H, W, 3) uint8 RGB, or with none.

        Raises:
            FrameError: "bad_shape" for an array that is no RGB image, or as of ``encode_image``.
        """
        if image is None:
            return replace(self, jpeg=b"")
        if image.ndim != 3 or image.shape[2] != 3:
            raise FrameError(
                "bad_shape", f"a privacy filter gave an image of shape {image.shape}; give (height, width, 3)"
            )
        return replace(self, jpeg=encode_image(image, ".jpg"))


class PrivacyFilter(Protocol):
    """Decides what of an image is stored. It must not keep the image."""

    def __call__(self, shot: Shot) -> Shot | None:
        """The image to store in its place: the same, a blurred or replaced one, or None to store nothing."""


def filtered(privacy: PrivacyFilter | None, shot: Shot) -> Shot | None:
    """What may be stored of an image; all of it without a filter."""
    return shot if privacy is None else privacy(shot)


def filtered_records(
    privacy: PrivacyFilter | None, records: Sequence[ObjectRecord]
) -> Sequence[ObjectRecord]:
    """Objects as they may be stored, by their best images; those that the filter refuses are left out."""
    if privacy is None:
        return records
    kept = []
    for record in records:
        x, y, z = (np.asarray(record["low"], float) + record["high"]) / 2
        shot = Shot(
            "object",
            record["thumbnail"],
            record["semantic"],
            record["last_seen"],
            tuple(record["evidence"]),
            (float(x), float(y), float(z)),
        )
        after = privacy(shot)
        if after is not None:
            kept.append({**record, "thumbnail": after.jpeg, "semantic": after.vector})
    return kept


@dataclass(frozen=True)
class LabelPrivacy:
    """A PrivacyFilter by labels.

    Attributes:
        refuse: Labels of which nothing is stored.
        blur: Labels whose images are stored without details, and without the vector that was made of them.
    """

    refuse: Collection[str] = ()
    blur: Collection[str] = ()

    def __call__(self, shot: Shot) -> Shot | None:
        """See PrivacyFilter."""
        if set(shot.labels) & set(self.refuse):
            return None
        if not set(shot.labels) & set(self.blur):
            return shot
        image = shot.image()
        return replace(shot.with_image(None if image is None else blurred(image)), vector=None)


def blurred(image: RgbImage) -> RgbImage:
    """An image of the same size in which no face and no text can be recognised, (H, W, 3) uint8 RGB."""
    height, width = image.shape[:2]
    scale = _BLURRED_SIDE / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
