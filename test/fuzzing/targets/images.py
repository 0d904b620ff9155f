"""Image files and compressed images."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable, Sequence
from random import Random

import cv2
import numpy as np
from PIL import Image

from fuzzing.formats.image_files import mutated_jpeg, mutated_numbers, mutated_png, mutated_tiff
from fuzzing.target import Mutation, Target, UndocumentedError
from perception_contrast.core.errors import FrameError
from perception_contrast.images import decode
from perception_contrast.images.decode import decode_compressed, decode_compressed_depth
from perception_contrast.images.files import decode_image_file

FORMATS = (
    "",
    "jpeg",
    "rgb8; jpeg compressed bgr8",
    "bayer_rggb8; png compressed ",
    "rgb16; png compressed rgb16",
)
DEPTH_FORMATS = ("16UC1; compressedDepth png", "32FC1; compressedDepth png", "16UC1; compressedDepth rvl",
                 "32FC1; compressedDepth rvl", "mono16; png compressed mono16")  # fmt: skip


def require_documented(error: FrameError) -> None:
    """Raises UndocumentedError for a reason that ``images.decode`` does not list: counters are named so."""
    if f"``{error.reason}``" not in (decode.__doc__ or ""):
        raise UndocumentedError(f"FrameError with the reason '{error.reason}', which is not documented")


class _Images(Target):
    allowed = (FrameError,)

    def attempt(self, *readers: Callable[[], object]) -> None:
        """Calls all readers; raises the last documented error if none of them read the input."""
        refused = []
        for read in readers:
            try:
                read()
            except FrameError as error:
                require_documented(error)
                refused.append(error)
        if len(refused) == len(readers):
            raise refused[-1]


class ImageFiles(_Images):
    @property
    def mutations(self) -> Sequence[Mutation]:
        return (_by_format,)

    def seeds(self) -> list[bytes]:
        rng = np.random.default_rng(0)
        colour = rng.integers(0, 255, (20, 28, 3), np.uint8)
        smooth = np.add.outer(np.arange(20), np.arange(28)).astype(np.uint8)
        found = [_encoded(".jpg", colour), _encoded(".jpg", smooth), _encoded(".png", colour)]
        found += [_encoded(".png", smooth), _encoded(".png", smooth.astype(np.uint16) * 500)]
        found += [_encoded(".webp", colour), _encoded(".bmp", colour), _encoded(".tiff", colour)]
        found.append(
            _encoded(".jpg", colour, cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 1)
        )
        for kind, mode, options in (
            ("PNG", "P", {}), ("PNG", "LA", {}), ("PNG", "1", {}), ("GIF", "P", {}), ("BMP", "P", {}),
            ("BMP", "1", {}),
            ("TIFF", "CMYK", {"compression": "tiff_lzw"}), ("TIFF", "F", {}), ("TIFF", "1",
            {"compression": "group4"}),
            ("TIFF", "RGB", {"compression": "jpeg"}), ("TIFF", "L", {"compression": "packbits"}), ("JPEG",
            "CMYK", {}),
            ("WEBP", "RGBA", {"lossless": True}), ("TIFF", "I;16", {}),
        ):  # fmt: skip
            found.append(_pillow(colour, kind, mode, **options))
        frames = [Image.fromarray(colour), Image.fromarray(255 - colour)]
        for kind in ("PNG", "WEBP", "TIFF"):
            file = io.BytesIO()
            frames[0].save(file, kind, save_all=True, append_images=frames[1:])
            found.append(file.getvalue())
        return found

    def run(self, data: bytes) -> None:
        self.attempt(
            lambda: decode_image_file(data, "file"),
            *(lambda name=name: decode_compressed(data, name) for name in FORMATS),
        )


class CompressedDepth(_Images):
    @property
    def mutations(self) -> Sequence[Mutation]:
        return (_depth,)

    def seeds(self) -> list[bytes]:
        depth = (np.add.outer(np.arange(16), np.arange(24)) * 37).astype(np.uint16)
        depth[3:6, 4:9] = 0
        header = struct.pack("<iff", 0, 100.0, 0.1)
        png = _encoded(".png", depth)
        size = struct.pack("<II", depth.shape[1], depth.shape[0])
        return [
            header + png,
            png,
            header + size + encoded_rvl(depth.ravel()),
            header + size + encoded_rvl(depth.ravel() * 0),
        ]

    def run(self, data: bytes) -> None:
        self.attempt(*(lambda name=name: decode_compressed_depth(data, name) for name in DEPTH_FORMATS))


def encoded_rvl(values: np.ndarray) -> bytes:
    """RVL of uint16 samples."""
    nibbles: list[int] = []

    def number(value: int) -> None:
        while True:
            part, value = value & 7, value >> 3
            nibbles.append(part | (8 if value else 0))
            if not value:
                return

    at, last, plain = 0, 0, [int(value) for value in values]
    while at < len(plain):
        begin = at
        while at < len(plain) and not plain[at]:
            at += 1
        number(at - begin)
        begin = at
        while at < len(plain) and plain[at]:
            at += 1
        number(at - begin)
        for value in plain[begin:at]:
            step = value - last
            number((step << 1) ^ (step >> 31))
            last = value
    nibbles += [0] * (-len(nibbles) % 8)
    words = (nibbles[at : at + 8] for at in range(0, len(nibbles), 8))
    return b"".join(struct.pack("<I", sum(n << (28 - 4 * i) for i, n in enumerate(word))) for word in words)


def _by_format(rng: Random, data: bytes) -> bytes:
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return mutated_png(rng, data)
    if data[:2] == b"\xff\xd8":
        return mutated_jpeg(rng, data)
    if data[:4] in (b"II*\0", b"MM\0*"):
        return mutated_tiff(rng, data)
    return mutated_numbers(rng, data)


def _depth(rng: Random, data: bytes) -> bytes:
    if data[12:20] == b"\x89PNG\r\n\x1a\n":
        return data[:12] + mutated_png(rng, data[12:])
    return mutated_numbers(rng, data)


def _encoded(suffix: str, image: np.ndarray, *options: int) -> bytes:
    return bytes(cv2.imencode(suffix, image, list(options))[1])


def _pillow(image: np.ndarray, kind: str, mode: str, **options: object) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = Image.fromarray(image)
        made = source.convert("L").convert("I").convert("I;16") if mode == "I;16" else source.convert(mode)
        made.save(file, kind, **options)
    return file.getvalue()
