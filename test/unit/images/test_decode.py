"""Raw image encodings against the definitions in sensor_msgs/image_encodings and ITU-R BT.601."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from perception_contrast.core.errors import FrameError
from perception_contrast.images.decode import ENCODINGS, decode_depth, decode_raw

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 17)
paddings = st.integers(0, 9)


def packed(samples: NDArray[Any], padding: int, big: bool, rng: np.random.Generator) -> tuple[bytes, int]:
    """Bytes and step of rows (H, ...) with random padding behind each."""
    rows = samples.reshape(len(samples), -1)
    ordered = np.ascontiguousarray(rows, rows.dtype.newbyteorder(">" if big else "<"))
    raw = ordered.view(np.uint8).reshape(len(rows), -1)
    filler = rng.integers(0, 256, (len(rows), padding), np.uint8)
    return np.concatenate([raw, filler], axis=1).tobytes(), raw.shape[1] + padding


def fields(height: int, width: int, step: int, encoding: str, big: bool = False) -> dict[str, Any]:
    return {"height": height, "width": width, "step": step, "encoding": encoding, "is_bigendian": big}


def bt601(y: NDArray[Any], u: NDArray[Any], v: NDArray[Any]) -> NDArray[np.float64]:
    """Video-range YCbCr to RGB by the luma weights of BT.601 (0.299, 0.587, 0.114)."""
    luma, cb, cr = (y - 16.0) / 219, (u - 128.0) / 224, (v - 128.0) / 224
    red, blue = luma + 2 * (1 - 0.299) * cr, luma + 2 * (1 - 0.114) * cb
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    return np.clip(np.stack([red, green, blue], -1) * 255, 0, 255)


@pytest.mark.parametrize(
    ("encoding", "stored"),
    [
        ("rgb8", [0, 1, 2]),
        ("bgr8", [2, 1, 0]),
        ("8UC3", [2, 1, 0]),
        ("rgba8", [0, 1, 2, 3]),
        ("bgra8", [2, 1, 0, 3]),
        ("8UC4", [2, 1, 0, 3]),
        ("mono8", [0]),
        ("8UC1", [0]),
        ("rgb16", [0, 1, 2]),
        ("bgr16", [2, 1, 0]),
        ("16UC3", [2, 1, 0]),
        ("rgba16", [0, 1, 2, 3]),
        ("bgra16", [2, 1, 0, 3]),
        ("mono16", [0]),
    ],
)
@settings(max_examples=20, deadline=None)
@given(height=sides, width=sides, padding=paddings, big=st.booleans(), seed=seeds)
def test_channel_orders(
    encoding: str, stored: list[int], height: int, width: int, padding: int, big: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    deep = "16" in encoding
    rgba = rng.integers(0, 65536 if deep else 256, (height, width, 4)).astype(np.uint16 if deep else np.uint8)
    data, step = packed(rgba[..., stored], padding, big, rng)
    image = decode_raw(data, **fields(height, width, step, encoding, big))
    expected = rgba[..., :3] if len(stored) > 1 else rgba[..., :1].repeat(3, axis=2)
    # v * 255 / 65535 to the nearest integer, the scale of cv_bridge.
    np.testing.assert_array_equal(image, (expected.astype(int) + 128) // 257 if deep else expected)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv"])
@settings(max_examples=20, deadline=None)
@given(height=sides, pairs=st.integers(1, 9), padding=paddings, seed=seeds)
def test_yuv422(encoding: str, height: int, pairs: int, padding: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(16, 236, (height, 2 * pairs), np.uint8)
    u, v = rng.integers(16, 241, (2, height, pairs), np.uint8)
    order = (
        [u, y[:, 0::2], v, y[:, 1::2]] if encoding in ("yuv422", "uyvy") else [y[:, 0::2], u, y[:, 1::2], v]
    )
    data, step = packed(np.stack(order, -1), padding, False, rng)
    image = decode_raw(data, **fields(height, 2 * pairs, step, encoding))
    expected = bt601(y.astype(float), u.repeat(2, 1).astype(float), v.repeat(2, 1).astype(float))
    assert np.abs(image - expected).max() <= 2


@pytest.mark.parametrize("encoding", ["nv12", "nv21", "nv24"])
@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 6), width=st.integers(1, 6), padding=paddings, seed=seeds)
def test_biplanar(encoding: str, height: int, width: int, padding: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = 2 * height, 2 * width
    share = 1 if encoding == "nv24" else 2
    y = rng.integers(16, 236, (height, width), np.uint8)
    u, v = rng.integers(16, 241, (2, height // share, width // share), np.uint8)
    chroma = np.stack([v, u] if encoding == "nv21" else [u, v], -1).reshape(len(u), -1)
    luma_data, step = packed(y, padding, False, rng)
    chroma_data, _ = packed(chroma, 2 * padding if encoding == "nv24" else padding, False, rng)
    image = decode_raw(luma_data + chroma_data, **fields(height, width, step, encoding))
    u, v = (plane.repeat(share, 0).repeat(share, 1).astype(float) for plane in (u, v))
    assert np.abs(image - bt601(y.astype(float), u, v)).max() <= 2


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@settings(max_examples=10, deadline=None)
@given(
    height=st.integers(3, 12),
    width=st.integers(3, 12),
    color=st.tuples(*[st.integers(0, 255)] * 3),
    padding=paddings,
    big=st.booleans(),
)
def test_bayer_of_one_color(
    pattern: str, bits: int, height: int, width: int, color: tuple[int, int, int], padding: int, big: bool
) -> None:
    """The name spells the top-left 2 x 2 pixels row by row; a mosaic of one colour gives that colour."""
    mosaic = np.zeros((height, width), np.uint8 if bits == 8 else np.uint16)
    for index, letter in enumerate(pattern):
        value = dict(zip("rgb", color, strict=True))[letter]
        mosaic[index // 2 :: 2, index % 2 :: 2] = value if bits == 8 else value * 257
    data, step = packed(mosaic, padding, big, np.random.default_rng(0))
    image = decode_raw(data, **fields(height, width, step, f"bayer_{pattern}{bits}", big))
    np.testing.assert_array_equal(image, np.broadcast_to(color, (height, width, 3)))


@settings(max_examples=30, deadline=None)
@given(height=sides, width=sides, padding=paddings, big=st.booleans(), seed=seeds)
def test_depth(height: int, width: int, padding: int, big: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    millimetres = rng.integers(0, 4, (height, width)).astype(np.uint16) * 1111
    expected = np.where(millimetres == 0, np.nan, millimetres / 1000)
    for encoding in ("16UC1", "mono16"):
        data, step = packed(millimetres, padding, big, rng)
        depth = decode_depth(data, **fields(height, width, step, encoding, big))
        assert depth.dtype == np.float32
        np.testing.assert_allclose(depth, expected, rtol=1e-6)
    metres = rng.choice([np.nan, np.inf, -np.inf, 0.0, -1.0, 1.5, 3.25], (height, width)).astype(np.float32)
    data, step = packed(metres, padding, big, rng)
    depth = decode_depth(data, **fields(height, width, step, "32FC1", big))
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(depth, np.where((metres > 0) & (metres < 10), metres, np.nan))


@pytest.mark.parametrize("padding", [0, 5])
def test_rgb8_is_a_view(padding: int) -> None:
    data = array("B", range(2 * (9 + padding)))
    image = decode_raw(data, **fields(2, 3, 9 + padding, "rgb8"))
    data[0] = 77
    assert image[0, 0].tolist() == [77, 1, 2]
    assert image[1, 0, 0] == 9 + padding
    assert not decode_raw(bytes(data), **fields(2, 3, 9 + padding, "rgb8")).flags.writeable


def test_float_depth_without_holes_is_a_view() -> None:
    data = np.full(6, 2.0, "<f4").tobytes()
    assert np.shares_memory(decode_depth(data, **fields(2, 3, 12, "32FC1")), np.frombuffer(data, np.uint8))


def test_padding_of_the_last_row_may_be_missing() -> None:
    assert decode_raw(bytes(10 + 6), **fields(2, 2, 10, "bgr8")).shape == (2, 2, 3)
    with pytest.raises(FrameError, match="15 bytes"):
        decode_raw(bytes(10 + 5), **fields(2, 2, 10, "bgr8"))


@pytest.mark.parametrize(
    ("reason", "data", "message"),
    [
        ("zero_size", b"", fields(0, 4, 12, "rgb8")),
        ("zero_size", bytes(48), fields(4, 0, 0, "rgb8")),
        ("empty_data", b"", fields(4, 4, 12, "rgb8")),
        ("unknown_encoding", bytes(48), fields(4, 4, 12, "")),
        ("unknown_encoding", bytes(48), fields(4, 4, 12, "x" * 9999)),
        ("not_color", bytes(48), fields(4, 4, 8, "16UC1")),
        ("not_color", bytes(64), fields(4, 4, 16, "32FC1")),
        ("step_too_small", bytes(48), fields(4, 4, 11, "rgb8")),
        ("step_too_small", bytes(48), fields(4, 4, 0, "mono8")),
        ("data_too_short", bytes(47), fields(4, 4, 12, "rgb8")),
        ("data_too_short", bytes(10), fields(10_000, 10_000, 30_000, "rgb8")),
        ("data_too_short", bytes(10), fields(2**32 - 1, 2**30, 2**32 - 1, "mono8")),
        ("odd_width", bytes(48), fields(4, 3, 6, "yuv422")),
        ("odd_width", bytes(48), fields(4, 3, 4, "nv12")),
        ("odd_height", bytes(48), fields(3, 4, 4, "nv21")),
        ("data_too_short", bytes(23), fields(4, 4, 4, "nv12")),
        ("data_too_short", bytes(47), fields(4, 4, 4, "nv24")),
        ("too_small", bytes(4), fields(2, 2, 2, "bayer_rggb8")),
    ],
)
def test_refused(reason: str, data: bytes, message: dict[str, Any]) -> None:
    with pytest.raises(FrameError) as caught:
        decode_raw(data, **message)
    assert caught.value.reason == reason
    assert 20 < len(str(caught.value)) < 600


@pytest.mark.parametrize("name", ["nv12", "nv21", "nv24"])
def test_biplanar_by_the_length_of_its_data(name: str) -> None:
    """Drivers disagree on what step and height of two planes mean; the data is the same."""
    rng = np.random.default_rng(0)
    height, width, rows = 8, 12, 24 if name == "nv24" else 12
    data = rng.integers(16, 236, rows * width, np.uint8).tobytes()
    right = decode_raw(data, **fields(height, width, width, name))
    for said_height, step in (
        (height, 0),
        (height, width * rows // height),
        (height, 2 * width),
        (rows, width),
        (rows, 0),
    ):
        np.testing.assert_array_equal(decode_raw(data, **fields(said_height, width, step, name)), right)
    padded = np.pad(np.frombuffer(data, np.uint8).reshape(-1, width), ((0, 0), (0, 4)))
    if name != "nv24":  # whose chroma rows are two luma rows long
        wrong = decode_raw(padded.tobytes(), **fields(height, width, 3 * width, name))
        np.testing.assert_array_equal(wrong, right)


def test_unknown_encodings_are_answered_with_those_that_are_wanted() -> None:
    with pytest.raises(FrameError, match="rgb8") as colour:
        decode_raw(bytes(48), **fields(4, 4, 12, "nonsense"))
    with pytest.raises(FrameError, match="16UC1, mono16, 32FC1") as depth:
        decode_depth(bytes(48), **fields(4, 4, 12, "nonsense"))
    assert "32FC1" not in str(colour.value) and "rgb8" not in str(depth.value)


def test_depth_refuses_color() -> None:
    with pytest.raises(FrameError) as caught:
        decode_depth(bytes(48), **fields(4, 4, 12, "rgb8"))
    assert caught.value.reason == "not_depth"


@settings(max_examples=200, deadline=None)
@given(
    encoding=st.sampled_from([*ENCODINGS, "16UC1", "32FC1", "nonsense"]),
    height=st.one_of(st.integers(0, 8), st.integers(0, 2**32 - 1)),
    width=st.one_of(st.integers(0, 8), st.integers(0, 2**32 - 1)),
    step=st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1)),
    size=st.integers(0, 400),
    big=st.booleans(),
)
def test_any_fields_give_an_image_or_a_reason(
    encoding: str, height: int, width: int, step: int, size: int, big: bool
) -> None:
    message = fields(height, width, step, encoding, big)
    for decode, shape in ((decode_raw, (height, width, 3)), (decode_depth, (height, width))):
        try:
            assert decode(bytes(size), **message).shape == shape
        except FrameError as error:
            assert error.reason.replace("_", "").isalpha()
