"""ImageFolderSource: the image files of a folder as frames."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.images.file_listing import IMAGE_SUFFIXES, list_images, natural_order
from perception_contrast.images.files import load_image
from perception_contrast.recordings.base import NANOSECONDS

_log = logging.getLogger(__name__)


class ImageFolderSource:
    """The image files of a folder in natural order (2 before 10); ``file_listing`` says which they are.

    Args:
        path: The folder. Raises PerceptionError if it is missing or holds no image.
        rate: Images per second; image number n has the stamp n / rate.
        frame_id: REP 105 name that every frame carries.

    Attributes:
        files: The images in their order.
        numbers: The place of each among all that look like images, from 0 on: one that is left out keeps
            its own.
        lost: Names of files that were left out, with the reason: those that were never readable, and those
            that an iteration could not decode.

    A file that cannot be read is logged and left out; its time slot stays empty.
    """

    def __init__(self, path: Path | str, rate: float = 10.0, frame_id: str = "camera") -> None:
        self.path = Path(path)
        self.rate = rate
        self.frame_id = frame_id
        if not rate > 0:
            raise PerceptionError(f"rate {rate} of folder '{self.path}' must be over 0 images a second")
        if not self.path.is_dir():
            raise PerceptionError(f"folder '{self.path}' does not exist; check the path")
        listing = list_images(self.path)
        self.files = tuple(sorted(listing.files, key=lambda file: natural_order(file.name)))
        self.lost = dict(listing.left_out)
        every = sorted((*(file.name for file in self.files), *self.lost), key=natural_order)
        self.numbers = tuple(every.index(file.name) for file in self.files)
        if not self.files:
            others = "".join(f"; '{name}': {reason}" for name, reason in self.lost.items())
            raise PerceptionError(
                f"folder '{self.path}' holds no image ({', '.join(IMAGE_SUFFIXES)}){others}"
            )
        for name, reason in self.lost.items():
            _log.warning("image '%s' is left out: %s", name, reason)

    def __iter__(self) -> Iterator[Frame]:
        for number, file in zip(self.numbers, self.files, strict=True):
            try:
                image = load_image(file)
            except FrameError as error:
                _log.warning("left out: %s", error)
                self.lost[file.name] = str(error)
                continue
            yield Frame(image, round(number / self.rate * NANOSECONDS), self.frame_id)
