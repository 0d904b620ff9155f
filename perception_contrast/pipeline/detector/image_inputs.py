"""What a caller may give as an image or as a video, as Frames."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from perception_contrast.core.arrays import RgbImage
from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.images.file_listing import IMAGE_SUFFIXES
from perception_contrast.images.files import load_image
from perception_contrast.images.pixel_conversion import eight_bits
from perception_contrast.recordings.bags import BagSource
from perception_contrast.recordings.image_folder import ImageFolderSource
from perception_contrast.recordings.storage import is_recording
from perception_contrast.recordings.video import VideoSource
from perception_contrast.recordings.webcam import WebcamSource

_log = logging.getLogger(__name__)

ImageInput = RgbImage | Image.Image | Frame | str | Path
VideoInput = str | Path | int | Iterable[ImageInput]

_SHAPES = "(H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey"


def frame_of(image: ImageInput) -> Frame:
    """The frame of an image.

    Args:
        image: A uint8 array: (H, W, 3) RGB, (H, W, 4) RGBA, whose alpha is dropped, or (H, W) grey; a
            Pillow image of any mode but 32-bit integers and floats; the path of an image file; or a
            Frame. EXIF orientation is not applied: pixels stay where a camera's intrinsics say.

    Raises:
        FrameError: It is no such image. The message names the remedy.
        PerceptionError: The file cannot be read.
    """
    if isinstance(image, Frame):
        return image
    if isinstance(image, str | Path):
        return Frame(load_image(Path(image).expanduser()))
    if isinstance(image, Image.Image):
        return Frame(_pillow_pixels(image))
    if isinstance(image, np.ndarray):
        return Frame(_array_pixels(image))
    raise _unknown(image)


def require_several(images: object) -> None:
    """Raises FrameError for one image where several belong: its rows would be taken as images."""
    one = isinstance(images, (str, Path, Frame, Image.Image)) or (
        isinstance(images, np.ndarray) and images.ndim < 4 and images.dtype != np.object_
    )
    if one:
        raise FrameError(
            "bad_type", f"one {type(images).__name__} is not several images; give a list: [image]"
        )


def frames_of(source: VideoInput, topic: str | None = None) -> Iterator[Frame]:
    """The frames of a video file, a recording, a folder of images, a webcam or an iterable of images.

    Args:
        source: A path, the number of a webcam, or images as ``frame_of`` takes them.
        topic: A recording's image topic; None takes the first one with colour images.

    What of a recording or a folder could not be read is logged.

    Raises:
        PerceptionError: There is no such source, or it cannot be read.
    """
    if isinstance(source, int):
        return iter(WebcamSource(source))
    if isinstance(source, str | Path):
        return _frames_of_path(Path(source).expanduser(), topic)
    require_several(source)
    return (frame_of(image) for image in source)


def _frames_of_path(path: Path, topic: str | None) -> Iterator[Frame]:
    if is_recording(path):
        recording = BagSource(path)
        return _told(recording, recording.frames(topic))
    if topic is not None:
        raise PerceptionError(f"'{path}' is no recording and has no topic '{topic}'; leave the topic out")
    if path.is_dir():
        return iter(ImageFolderSource(path))
    return iter(VideoSource(path))


def _told(recording: BagSource, frames: Iterator[Frame]) -> Iterator[Frame]:
    """The frames of a recording; at their end, logs what of it could not be read."""
    yield from frames
    for note in recording.lost:
        _log.warning("recording '%s': %s", recording.path, note)


def _array_pixels(image: NDArray[Any]) -> RgbImage:
    if image.dtype != np.uint8:
        raise FrameError("bad_dtype", f"an image of {image.dtype} is not uint8; {_remedy(image.dtype)}")
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4):
        planar = image.ndim == 3 and image.shape[0] in (1, 3, 4)
        remedy = "move the channels last: image.transpose(1, 2, 0)" if planar else f"give {_SHAPES}"
        raise FrameError("bad_shape", f"an image of shape {image.shape} is not {_SHAPES}; {remedy}")
    if image.size == 0:
        raise FrameError("zero_size", f"an image of shape {image.shape} has no pixels")
    if channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def _remedy(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f":
        return "for values in [0, 1] give (255 * image).round().astype(np.uint8)"
    if dtype == np.bool_:
        return "for a mask give 255 * mask.astype(np.uint8)"
    return "scale its values to 0 .. 255 and give image.astype(np.uint8)"


def _pillow_pixels(image: Image.Image) -> RgbImage:
    if image.mode in ("I", "F"):
        raise FrameError(
            "bad_dtype",
            f"a Pillow image of mode {image.mode} has no agreed range; scale it to 0 .. 255 and convert it "
            'with image.convert("RGB")',
        )
    if image.mode.startswith("I;16"):
        return _array_pixels(eight_bits(np.asarray(image)))
    # Transparency of a palette becomes alpha, which is dropped.
    return _array_pixels(np.asarray(image.convert("RGB")))


def _unknown(image: object) -> FrameError:
    kind = type(image)
    if kind.__module__.partition(".")[0] == "torch":
        return FrameError(
            "bad_type",
            "a torch tensor says neither its range nor where its channels are; give an (H, W, 3) uint8 "
            "array, "
            "for values in [0, 1] and channels first "
            "image.mul(255).round().byte().permute(1, 2, 0).cpu().numpy()",
        )
    if isinstance(image, list | tuple):
        return FrameError("bad_type", "several images go to detector.batch(images, queries)")
    return FrameError(
        "bad_type",
        f"a {kind.__module__}.{kind.__qualname__} is no image; give a uint8 array {_SHAPES}, a Pillow image "
        f"or the path of an image file ({', '.join(IMAGE_SUFFIXES)})",
    )
