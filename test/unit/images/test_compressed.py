"""JPEG and PNG input: right images, and never an image made up where data is missing."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from perception_contrast.core.errors import FrameError
from perception_contrast.images.decode import decode_compressed, decode_compressed_depth

SIZE = (72, 100)


def scene(height: int = SIZE[0], width: int = SIZE[1]) -> NDArray[np.uint8]:
    """A smooth RGB image with some grain; JPEG keeps it nearly as it is."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 11)], -1)
    grain = np.random.default_rng(1).normal(0, 2, (height, width, 1))
    return np.clip(128 + 90 * waves + grain, 0, 255).astype(np.uint8)


def jpeg(rgb: NDArray[np.uint8], *options: int) -> bytes:
    stored = rgb[..., ::-1] if rgb.ndim == 3 else rgb
    encoded: bytes = cv2.imencode(".jpg", np.ascontiguousarray(stored), list(options))[1].tobytes()
    return encoded


def png(samples: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """A PNG written from its specification: one filterless IDAT. samples: (H, W, channels)."""
    height, width, channels = samples.shape
    rows = samples.astype(samples.dtype.newbyteorder(">")).reshape(height, width * channels)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 8 * samples.itemsize, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def chunk(name: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


JPEG = jpeg(scene())
PNG = png(scene())
PROGRESSIVE = jpeg(scene(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
RESTARTS = jpeg(scene(), cv2.IMWRITE_JPEG_RST_INTERVAL, 2)


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, RESTARTS], ids=["baseline", "progressive", "restarts"])
@pytest.mark.parametrize(
    "format", ["jpeg", "jpg", "", "rgb8; jpeg compressed bgr8", "bgr8; jpeg compressed "]
)
def test_jpeg(data: bytes, format: str) -> None:
    image = decode_compressed(data, format)
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - scene()).mean() < 4


def test_grey_jpeg() -> None:
    image = decode_compressed(jpeg(scene()[..., 0]), "mono8; jpeg compressed ")
    assert np.abs(image.astype(int) - scene()[..., :1]).mean() < 4


@pytest.mark.parametrize("stray", [b"\0", b"\xff\0\x12", b"AVI1 padding", b"\xff\xff\xff"])
def test_stray_bytes_between_header_segments_are_passed_over(stray: bytes) -> None:
    first = 4 + struct.unpack_from(">H", JPEG, 4)[0]
    for place in (2, first):
        data = JPEG[:place] + stray + JPEG[place:]
        if data[:3] == JPEG[:3]:
            reference = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
            np.testing.assert_array_equal(decode_compressed(data, "jpeg"), reference)


def test_swapped_jpeg_of_old_publishers() -> None:
    """A publisher that put RGB where the codec takes BGR says "compressed rgb8"."""
    swapped = jpeg(scene()[..., ::-1])
    assert np.abs(decode_compressed(swapped, "rgb8; jpeg compressed rgb8").astype(int) - scene()).mean() < 4


def test_exif_orientation_is_ignored() -> None:
    tag = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    segment = b"\xff\xe1" + struct.pack(">H", len(tag) + 8) + b"Exif\0\0" + tag
    turned = JPEG[:2] + segment + JPEG[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape[:2] == SIZE[::-1]
    np.testing.assert_array_equal(decode_compressed(turned, "jpeg"), decode_compressed(JPEG, "jpeg"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("format", ["png", "bgr8; png compressed bgr8", "rgba8; png compressed "])
def test_png(dtype: type[np.uint8] | type[np.uint16], channels: int, format: str) -> None:
    samples = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (5, 7, channels)).astype(dtype)
    eight = samples if dtype == np.uint8 else (samples.astype(int) + 128) // 257
    expected = eight[..., :1].repeat(3, axis=2) if channels < 3 else eight[..., :3]
    np.testing.assert_array_equal(decode_compressed(png(samples), format), expected)


def test_compressed_mosaic_becomes_color() -> None:
    mosaic = np.zeros((6, 8, 1), np.uint8)
    mosaic[0::2, 0::2], mosaic[0::2, 1::2], mosaic[1::2, 0::2], mosaic[1::2, 1::2] = 20, 90, 90, 200
    image = decode_compressed(png(mosaic), "bayer_rggb8; png compressed bayer_rggb8")
    np.testing.assert_array_equal(image, np.broadcast_to([20, 90, 200], (6, 8, 3)))


def refused(data: bytes, format: str = "jpeg", **options: int) -> str:
    with pytest.raises(FrameError) as caught:
        decode_compressed(data, format, **options)
    return caught.value.reason


@pytest.mark.parametrize(
    "data", [JPEG, PNG, PROGRESSIVE, RESTARTS], ids=["jpeg", "png", "progressive", "restarts"]
)
@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), padding=st.sampled_from([b"", bytes(500), b"\xff" * 50]))
def test_every_truncation_is_refused(data: bytes, share: float, padding: bytes) -> None:
    cut = int(share * len(data))
    reason = refused(data[:cut] + padding)
    # Padding where the header's height and width were cut away reads as no pixels, or too many.
    assert reason in ("truncated", "bad_compressed", "empty_data", "zero_size", "too_large")


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 0.97))
def test_truncation_hidden_by_an_end_marker_is_refused(share: float) -> None:
    """Drivers that close a JPEG whose data did not all arrive; decoders fill the rest with grey."""
    scan = JPEG.index(b"\xff\xda") + 14
    cut = scan + int(share * (len(JPEG) - scan))
    whole = JPEG[:cut].removesuffix(b"\xff")
    assert refused(whole + b"\xff\xd9") == "truncated"


def test_lost_middle_is_refused() -> None:
    third = len(JPEG) // 3
    assert refused(JPEG[: 2 * third] + JPEG[2 * third + 400 :]) == "truncated"
    marks = [index for index in range(len(RESTARTS) - 1) if RESTARTS[index : index + 2] == b"\xff\xd3"]
    assert refused(RESTARTS[: marks[0]] + RESTARTS[marks[0] + 60 :]) == "truncated"


def test_grey_images_and_padding_are_not_taken_for_truncation() -> None:
    grey = np.full((*SIZE, 3), 128, np.uint8)
    assert (decode_compressed(jpeg(grey), "jpeg") == 128).all()
    for tail in (bytes(300), b"\xff" * 20, b"\xff\xd9", JPEG):
        np.testing.assert_array_equal(decode_compressed(JPEG + tail, "jpeg"), decode_compressed(JPEG, "jpeg"))


@pytest.mark.parametrize("data", [JPEG, PNG], ids=["jpeg", "png"])
@settings(max_examples=100, deadline=None)
@given(where=st.integers(0, 10**9), value=st.integers(0, 255))
def test_damage_gives_an_image_of_that_size_or_a_reason(data: bytes, where: int, value: int) -> None:
    damaged = bytearray(data)
    damaged[where % len(data)] = value
    try:
        image = decode_compressed(damaged, "jpeg")
    except FrameError:
        return
    assert image.ndim == 3 and image.shape[2] == 3
    if data is PNG:
        np.testing.assert_array_equal(image, scene())


def hundred_megapixels() -> Iterator[tuple[str, bytes]]:
    yield "jpeg", b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HHB", 10_000, 10_000, 3) + bytes(9)
    head = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    yield "png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("kind", "data"), hundred_megapixels())
def test_large_claims_are_refused_unread(kind: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", None)
    assert refused(data, kind) == "too_large"
    assert refused(data, kind, max_pixels=10**9) == "truncated"


@pytest.mark.parametrize(
    ("reason", "data", "format"),
    [
        ("empty_data", b"", "jpeg"),
        ("bad_compressed", b"GIF89a", "jpeg"),
        ("bad_compressed", b"\0" * 100, ""),
        ("unknown_encoding", b"\0\0\0\1\x67" + bytes(50), "h264"),
        ("not_color", PNG, "16UC1; compressedDepth png"),
        ("not_color", PNG, "32FC1; png compressed "),
        ("bad_compressed", PNG[:60] + b"x" + PNG[61:], "png"),
        ("zero_size", png(np.zeros((0, 4, 3), np.uint8)), "png"),
        ("too_small", png(np.zeros((2, 4, 1), np.uint8)), "bayer_rggb8; png compressed "),
    ],
)
def test_refused(reason: str, data: bytes, format: str) -> None:
    assert refused(data, format) == reason


MILLIMETRES = np.random.default_rng(0).integers(0, 5, (6, 8, 1)).astype(np.uint16) * 1300


@pytest.mark.parametrize("header", [b"", bytes(12), struct.pack("<iff", -1, 0.5, 2.0)])
@pytest.mark.parametrize("format", ["16UC1; compressedDepth", "16UC1; compressedDepth png"])
def test_compressed_depth_in_millimetres(header: bytes, format: str) -> None:
    depth = decode_compressed_depth(header + png(MILLIMETRES), format)
    expected = np.where(MILLIMETRES == 0, np.nan, MILLIMETRES / 1000)[..., 0]
    np.testing.assert_allclose(depth, expected, rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), largest=st.floats(2, 20), quantization=st.floats(20, 200))
def test_compressed_depth_as_inverse(seed: int, largest: float, quantization: float) -> None:
    """q = a / z + b with a = z0 (z0 + 1), b = 1 - a / largest: the step at depth z is z^2 / a."""
    rng = np.random.default_rng(seed)
    z = rng.uniform(0.3, largest, (5, 6))
    a = np.float32(quantization * (quantization + 1))
    b = np.float32(1 - a / largest)
    levels = a / z + b
    known = (rng.random(z.shape) > 0.2) & (levels < 65535)
    stored = np.where(known, levels, 0).astype(np.uint16)
    data = struct.pack("<iff", 0, a, b) + png(stored[..., None])
    depth = decode_compressed_depth(data, "32FC1; compressedDepth png")
    assert np.isnan(depth[~known]).all()
    assert (np.abs(depth - z)[known] <= 1.01 * (z**2 / (a - z))[known] + 1e-4).all()


@pytest.mark.parametrize(
    ("reason", "data", "format"),
    [
        ("empty_data", b"", "16UC1; compressedDepth"),
        ("bad_compressed", bytes(12), "16UC1; compressedDepth"),
        ("truncated", bytes(12) + png(MILLIMETRES)[:-20], "16UC1; compressedDepth"),
        ("truncated", bytes(19), "16UC1; compressedDepth rvl"),
        ("zero_size", bytes(99), "16UC1; compressedDepth rvl"),
        ("too_large", bytes(12) + b"\xff" * 8, "16UC1; compressedDepth rvl"),
        (
            "bad_compressed",
            bytes(12) + struct.pack("<II", 4, 4) + b"\xff" * 8 + bytes(4),
            "16UC1; compressedDepth rvl",
        ),
        ("truncated", bytes(12) + struct.pack("<II", 4, 4), "16UC1; compressedDepth rvl"),
        ("not_depth", JPEG, "jpeg"),
        ("not_depth", bytes(12) + PNG, "16UC1; compressedDepth"),
        ("not_depth", bytes(12) + JPEG, "16UC1; compressedDepth"),
        ("not_depth", png(MILLIMETRES), "32FC1; compressedDepth"),
    ],
)
def test_refused_depth(reason: str, data: bytes, format: str) -> None:
    with pytest.raises(FrameError) as caught:
        decode_compressed_depth(data, format)
    assert caught.value.reason == reason
