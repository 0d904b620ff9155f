"""Images of datasets for the browser: whole, and as thumbnails that are made when they are looked at."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from perception_contrast.core.arrays import RgbImage, Size
from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.images.files import decode_image_file, encode_image
from perception_contrast.images.orientation import exif_orientation
from perception_contrast.images.resize import shrink_image
from perception_contrast_studio.components.dataset.dataset_frames import SHARDS, DatasetFrames
from perception_contrast_studio.points.pictures import file_bytes
from perception_contrast_studio.server.byte_cache import ByteCache

IMAGE_PATH = "/dataset/{number:int}/{index:int}/{kind}"
SIDE = 240
CACHE_BYTES = 64 << 20
DECODED_AT_ONCE = 2
# What every browser shows; others are sent as PNG.
_KNOWN = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}


def frame_bytes(frames: DatasetFrames, index: int) -> bytes:
    """The bytes of a frame's image file; blocks for the time of reading.

    Raises:
        FrameError: It cannot be read.
    """
    if not frames.extracted:
        return file_bytes(frames.folder / frames.files[index])
    shard = frames.shard_names[int(frames.shards[index])]
    if PurePosixPath(shard).name != shard:
        raise FrameError("unreadable_file", f"'{shard}' is no name of a shard; extract the dataset again")
    size = int(frames.sizes[index])
    data = file_bytes(frames.folder / SHARDS / shard, int(frames.offsets[index]), size)
    if len(data) != size:
        raise FrameError("unreadable_file", f"shard '{shard}' was cut short; extract the dataset again")
    return data


def frame_image(frames: DatasetFrames, index: int) -> RgbImage:
    """RGB (H, W, 3) uint8 with pixels where they are stored. Raises FrameError."""
    return decode_image_file(frame_bytes(frames, index), frames.keys[index])


def frame_size(frames: DatasetFrames, index: int) -> Size:
    """(height, width) in pixels. Raises FrameError."""
    size = int(frames.heights[index]), int(frames.widths[index])
    if min(size) > 0:
        return size
    height, width = frame_image(frames, index).shape[:2]
    return int(height), int(width)


class FrameImages:
    """Serves images of datasets.

    Args:
        frames: Gives what is known of the dataset with a number; None for none.
        cache_bytes: Of thumbnails that are kept.
    """

    def __init__(self, frames: Callable[[int], DatasetFrames | None], cache_bytes: int = CACHE_BYTES) -> None:
        self._frames = frames
        self._kept: ByteCache[tuple[Path, str, int]] = ByteCache(cache_bytes)
        self._decoding = threading.Semaphore(DECODED_AT_ONCE)

    def respond(self, request: Request) -> Response:
        """Serves one; called in a thread."""
        number, index = request.path_params["number"], request.path_params["index"]
        frames = self._frames(number)
        if frames is None or not 0 <= index < len(frames):
            return PlainTextResponse("There is no such frame; reload the page.\n", status_code=404)
        try:
            if request.path_params["kind"] == "thumbnail":
                data, kind = self.thumbnail(frames, index), "image/jpeg"
            else:
                data, kind = whole_image(frames, index)
        except (PerceptionError, OSError) as error:
            return PlainTextResponse(f"{error}\n", status_code=404)
        # The number of a frame may stand for another one after the next extraction.
        return Response(data, media_type=kind, headers={"cache-control": "private, max-age=60"})

    def thumbnail(self, frames: DatasetFrames, index: int) -> bytes:
        """A JPEG of at most ``SIDE`` pixels. Raises FrameError."""
        key = frames.folder, frames.keys[index], int(frames.offsets[index])
        if (kept := self._kept.get(key)) is not None:
            return kept
        with self._decoding:
            data = encode_image(shrink_image(frame_image(frames, index), SIDE), ".jpg")
        self._kept.put(key, data)
        return data


def whole_image(frames: DatasetFrames, index: int) -> tuple[bytes, str]:
    """Bytes that a browser shows with pixels where they are stored, and media type. Raises FrameError."""
    data = frame_bytes(frames, index)
    kind = next((kind for start, kind in _KNOWN.items() if data.startswith(start)), None)
    # A browser would turn an image with an EXIF orientation, and boxes would lie elsewhere.
    turned = b"Exif" in data[:4096] and (
        frames.extracted or exif_orientation(frames.folder / frames.files[index]) != 1
    )
    if kind is not None and not turned:
        return data, kind
    return encode_image(decode_image_file(data, frames.keys[index]), ".png"), "image/png"
