"""The accelerator's preprocessing, run on the CPU, against OpenCV's colours and the reference transforms."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from perception_contrast.core.errors import FrameError
from perception_contrast.images.decode import ENCODINGS, decode_raw
from perception_contrast.models.specs import IMAGENET_MEAN, IMAGENET_STD, OPENAI_MEAN, OPENAI_STD
from perception_contrast.preprocessing import device_jpeg
from perception_contrast.preprocessing.device_color import DEVICE_ENCODINGS, colour_planes, message_pixels
from perception_contrast.preprocessing.device_images import DeviceImages, Target
from perception_contrast.preprocessing.device_jpeg import decode_jpeg_on_device
from perception_contrast.preprocessing.device_resize import DeviceResize

PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
CPU = torch.device("cpu")
sides = st.integers(1, 70)
seeds = st.integers(0, 2**32 - 1)


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def photograph(height: int, width: int) -> NDArray[np.uint8]:
    """Smooth colours under stripes that alias, with saturated ends."""
    y, x = np.mgrid[:height, :width]
    stripes = ((x // 2 + y // 3) % 2) * 255
    rgb = np.stack([stripes, 300 * x / width - 20, 300 * y / height - 20], axis=-1)
    return rgb.clip(0, 255).astype(np.uint8)


def levels(values: torch.Tensor, target: Target) -> torch.Tensor:
    """Back to 0..255, (B, 3, H, W)."""
    std, mean = (torch.tensor(x).view(1, 3, 1, 1) for x in (target.std, target.mean))
    return 255 * (values.cpu() * std + mean)


def message(encoding: str, height: int, width: int, seed: int = 0, padding: int = 0) -> dict[str, object]:
    """Fields of a sensor_msgs/Image of noise."""
    name = encoding.lower()
    wide = {"rgb": 3, "bgr": 3, "yuv": 2, "uyv": 2, "yuy": 2}.get(name[:3], 1)
    wide = 4 if "a8" in name or "8uc4" in name else 3 if "8uc3" in name else wide
    rows = height + height // 2 if name in ("nv12", "nv21") else height
    data = noise(rows, width * wide + padding, seed=seed).tobytes()
    return {
        "data": data,
        "height": height,
        "width": width,
        "step": width * wide + padding,
        "encoding": encoding,
        "is_bigendian": False,
    }


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name.lower() in DEVICE_ENCODINGS])
@settings(max_examples=12, deadline=None)
@given(height=st.integers(2, 20), width=st.integers(2, 20), padding=st.integers(0, 5), seed=seeds)
def test_colours_are_opencvs(encoding: str, height: int, width: int, padding: int, seed: int) -> None:
    """Borders, padding and values outside of video range too."""
    fields = message(encoding, 2 * height, 2 * width, seed, padding)
    expected = decode_raw(**fields)  # type: ignore[arg-type]
    pixels, name = message_pixels(**fields)  # type: ignore[arg-type]
    planes = colour_planes(torch.from_numpy(pixels.copy())[None], name)
    ours = planes.expand(-1, 3, -1, -1)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("size", [(3, 3), (3, 8), (7, 5), (5, 4)])
def test_mosaics_of_odd_sides(pattern: str, size: tuple[int, int]) -> None:
    fields = message(f"bayer_{pattern}8", *size)
    expected = decode_raw(**fields)  # type: ignore[arg-type]
    pixels, name = message_pixels(**fields)  # type: ignore[arg-type]
    ours = colour_planes(torch.from_numpy(pixels.copy())[None], name)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours.astype(int) - expected).max() <= 1


@settings(max_examples=80, deadline=None)
@given(source=st.tuples(sides, sides), size=st.tuples(sides, sides), extreme=st.booleans(), seed=seeds)
def test_resize_is_pillows_to_the_level(
    source: tuple[int, int], size: tuple[int, int], extreme: bool, seed: int
) -> None:
    """One pixel, odd sides, up, down and across; black and white alone overshoot at every edge."""
    image = noise(*source, 3, seed=seed)
    if extreme:
        image = np.where(image < 128, 0, 255).astype(np.uint8)
    reference = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))
    planes = torch.from_numpy(image).permute(2, 0, 1)[None]
    ours = DeviceResize(CPU).stretch(planes, [size])[size][0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(ours, reference)


@pytest.mark.parametrize(
    ("source", "size"),
    [
        ((480, 640), (336, 448)),
        ((97, 301), (224, 224)),
        ((20, 1500), (14, 14)),
        ((33, 20), (224, 392)),
        ((640, 100), (224, 56)),
    ],
)
def test_resize_of_camera_sizes(source: tuple[int, int], size: tuple[int, int]) -> None:
    """With 5 to over 200 taps, and where products in half precision are asked for around it."""
    image = photograph(*source)
    reference = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        planes = torch.from_numpy(image).permute(2, 0, 1)[None]
        ours = DeviceResize(CPU).stretch(planes, [size])[size][0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(ours, reference)


def test_sizes_together_are_as_each_alone() -> None:
    """Sizes that share a pass, and sizes that Pillow takes height first and width first."""
    planes = torch.from_numpy(noise(2, 3, 64, 40))
    sizes = [(10, 40), (10, 12), (60, 12), (10, 30), (64, 40), (70, 12), (10, 12)]
    together = DeviceResize(CPU).stretch(planes, sizes)
    for size in sizes:
        for source_image, ours in zip(planes, together[size], strict=True):
            image = Image.fromarray(source_image.permute(1, 2, 0).numpy())
            reference = np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC))
            np.testing.assert_array_equal(ours.permute(1, 2, 0), reference)


@pytest.mark.parametrize("by_torch", [True, False])
def test_one_upload_serves_encoders_of_timm_open_clip_and_transformers(by_torch: bool) -> None:
    from open_clip.transform import image_transform
    from timm.data import create_transform
    from transformers import SiglipImageProcessorPil

    image = photograph(150, 201)
    source_image = Image.fromarray(image)
    siglip = SiglipImageProcessorPil(
        size={"height": 160, "width": 112}, resample=Image.Resampling.BICUBIC, image_mean=[0.5] * 3
    )
    timm = create_transform(
        (3, 112, 112),
        interpolation="bicubic",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop_pct=1.0,
        crop_mode="squash",
    )
    clip = image_transform(
        (112, 112),
        is_train=False,
        mean=OPENAI_MEAN,
        std=OPENAI_STD,
        resize_mode="squash",
        interpolation="bicubic",
    )
    targets = [
        Target((112, 112), IMAGENET_MEAN, IMAGENET_STD),
        Target((112, 112), OPENAI_MEAN, OPENAI_STD),
        Target((160, 112), (0.5,) * 3, tuple(siglip.image_std)),
    ]
    references = [
        timm(source_image),
        clip(source_image),
        torch.from_numpy(siglip(image, return_tensors="np")["pixel_values"])[0],
    ]
    prepared = DeviceImages("cpu", by_torch=by_torch).prepare(image[..., ::-1], "bgr8", targets)
    for ours, reference, target in zip(prepared, references, targets, strict=True):
        assert ours.shape == (1, 3, *target.size) and ours.dtype == torch.float32 and ours.is_contiguous()
        assert (levels(ours, target) - levels(reference[None], target)).abs().max() < 1e-2


@pytest.mark.parametrize("by_torch", [True, False])
@pytest.mark.parametrize("encoding", ["mono8", "rgb8", "rgba8", "bayer_grbg8", "yuv422", "nv12"])
def test_cameras_together_are_as_each_alone(encoding: str, by_torch: bool) -> None:
    made = DeviceImages("cpu", by_torch=by_torch)
    cameras = [message_pixels(**message(encoding, 24, 38, seed))[0] for seed in range(3)]  # type: ignore[arg-type]
    targets = [Target((14, 28), IMAGENET_MEAN, IMAGENET_STD), Target((24, 38), *PLAIN)]
    together = made.prepare_batch(cameras, encoding, targets)
    alone = [made.prepare(camera, encoding, targets) for camera in cameras]
    for index, target in enumerate(targets):
        assert together[index].shape == (3, 3, *target.size)
        assert torch.equal(together[index], torch.cat([each[index] for each in alone]))


@pytest.mark.parametrize("encoding", ["bgr8", "mono8", "nv21", "yuv422_yuy2", "bayer_rggb8"])
def test_both_ways_give_one_image(encoding: str) -> None:
    """So a machine without an accelerator computes on the same pixels."""
    pixels, name = message_pixels(**message(encoding, 36, 50, padding=3))  # type: ignore[arg-type]
    target = Target((28, 42), *PLAIN)
    ours, reference = (
        DeviceImages("cpu", by_torch=way).prepare(pixels, name, [target])[0] for way in (True, False)
    )
    assert (levels(ours, target) - levels(reference, target)).abs().max() < 1.01


@pytest.mark.parametrize("by_torch", [True, False])
def test_one_pixel_and_what_the_caller_changes_later(by_torch: bool) -> None:
    pixel = np.array([[[10, 20, 250]]], np.uint8)
    target = Target((14, 14), *PLAIN)
    (prepared,) = DeviceImages("cpu", by_torch=by_torch).prepare(pixel, "rgb8", [target])
    pixel[:] = 0
    expected = torch.tensor([10.0, 20.0, 250.0]).view(1, 3, 1, 1).expand(1, 3, 14, 14)
    torch.testing.assert_close(levels(prepared, target), expected, atol=1e-2, rtol=0)


@pytest.mark.parametrize("encoding", ["rgb16", "nv24", "16UC3", "BGR8"])
def test_messages_of_other_encodings_come_as_rgb(encoding: str) -> None:
    data = noise(12 * 8 * 6).tobytes()
    step = {"nv24": 8, "BGR8": 24}.get(encoding, 48)
    fields = {"height": 12, "width": 8, "step": step, "encoding": encoding, "is_bigendian": False}
    pixels, name = message_pixels(data, **fields)  # type: ignore[arg-type]
    planes = colour_planes(torch.from_numpy(pixels.copy())[None], name)
    expected = decode_raw(data, **fields)  # type: ignore[arg-type]
    np.testing.assert_array_equal(planes[0].permute(1, 2, 0), expected)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encoding": "rgb9"}, "unknown_encoding"),
        ({"encoding": "32FC1"}, "not_color"),
        ({"width": 0}, "zero_size"),
        ({"data": b""}, "empty_data"),
        ({"data": b"123"}, "data_too_short"),
        ({"step": 3}, "step_too_small"),
        ({"encoding": "yuv422", "width": 7}, "odd_width"),
        ({"encoding": "nv12", "width": 7}, "odd_width"),
        ({"encoding": "nv12", "height": 7}, "odd_height"),
        ({"encoding": "bayer_rggb8", "height": 2}, "too_small"),
    ],
)
def test_bad_messages_are_refused_as_the_decoder_refuses_them(change: dict[str, object], reason: str) -> None:
    fields = message("rgb8", 8, 8) | change
    for read in (decode_raw, message_pixels):
        with pytest.raises(FrameError) as refused:
            read(**fields)  # type: ignore[operator]
        assert refused.value.reason == reason


@pytest.mark.parametrize("by_torch", [True, False])
@pytest.mark.parametrize(
    ("shape", "encoding", "error"),
    [
        ((4, 4, 3), "rgb16", FrameError),
        ((0, 4, 3), "rgb8", FrameError),
        ((4, 3, 2), "yuv422", FrameError),
        ((4, 4), "nv12", FrameError),
        ((2, 2), "bayer_bggr8", FrameError),
        ((4, 4), "rgb8", ValueError),
        ((4, 4, 1), "mono8", ValueError),
        ((4, 4, 4), "rgb8", ValueError),
    ],
)
def test_arrays_that_are_no_image(
    shape: tuple[int, ...], encoding: str, error: type[Exception], by_torch: bool
) -> None:
    with pytest.raises(error, match=encoding):
        DeviceImages("cpu", by_torch=by_torch).prepare(
            np.zeros(shape, np.uint8), encoding, [Target((14, 14), *PLAIN)]
        )


def test_other_wrong_arguments() -> None:
    made = DeviceImages("cpu")
    with pytest.raises(ValueError, match="float64"):
        made.prepare(np.zeros((4, 4, 3)), "rgb8", [Target((14, 14), *PLAIN)])  # type: ignore[arg-type]
    for images in ([], [noise(4, 4, 3), noise(4, 5, 3)]):
        with pytest.raises(ValueError, match="one shape"):
            made.prepare_batch(images, "rgb8", [Target((14, 14), *PLAIN)])
    with pytest.raises(ValueError, match="at least 1"):
        Target((14, 0), *PLAIN)
    with pytest.raises(ValueError, match="std"):
        Target((14, 14), (0.0, 0.0, 0.0), (1.0, 0.0, 1.0))
    with pytest.raises(ValueError, match="uint8"):
        made.prepare_rgb(torch.zeros(4, 4, 3), [Target((14, 14), *PLAIN)])


def jpeg(image: NDArray[np.uint8]) -> bytes:
    written, data = cv2.imencode(".jpg", image[..., ::-1] if image.ndim == 3 else image)
    assert written
    return data.tobytes()


@pytest.mark.parametrize("by_torch", [True, False])
def test_a_decoded_jpeg_is_prepared_where_it_is(by_torch: bool) -> None:
    data = jpeg(photograph(40, 56))
    source_image = decode_jpeg_on_device(data, "cpu", "rgb8; jpeg compressed bgr8")
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(source_image, expected)
    target = Target((28, 28), OPENAI_MEAN, OPENAI_STD)
    made = DeviceImages("cpu", by_torch=by_torch)
    (ours,) = made.prepare_rgb(source_image[None], [target])
    assert torch.equal(ours, made.prepare(expected, "rgb8", [target])[0])


class FakeDecoder:
    """Stands for nvJPEG: answers with what a test gives it."""

    def __init__(self, answer: torch.Tensor | Exception) -> None:
        self.answer, self.calls = answer, 0

    def __call__(self, data: torch.Tensor, mode: object, device: torch.device) -> torch.Tensor:
        self.calls += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("nvjpegDecode failed"),
        torch.full((3, 40, 56), 128, dtype=torch.uint8),
        torch.zeros(3, 8, 8, dtype=torch.uint8),
    ],
    ids=["fails", "fills with grey", "another size"],
)
def test_what_nvjpeg_cannot_do_is_left_to_the_cpu(
    answer: torch.Tensor | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = FakeDecoder(answer)
    monkeypatch.setattr(device_jpeg, "_decoder", lambda: (decoder, None))
    data = jpeg(photograph(40, 56))
    assert device_jpeg._by_nvjpeg(data, CPU, "jpeg", 10**6) is None
    assert decoder.calls == 1


def test_only_plain_colour_jpeg_goes_to_nvjpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = FakeDecoder(torch.zeros(3, 40, 56, dtype=torch.uint8))
    monkeypatch.setattr(device_jpeg, "_decoder", lambda: (decoder, None))
    colour, grey = jpeg(photograph(40, 56)), jpeg(photograph(40, 56)[..., 0])
    png = cv2.imencode(".png", photograph(40, 56))[1].tobytes()
    for data, format in [
        (grey, "mono8; jpeg compressed "),
        (grey, "bayer_rggb8; jpeg compressed "),
        (colour, "rgb8; jpeg compressed rgb8"),
        (png, "png"),
    ]:
        assert device_jpeg._by_nvjpeg(data, CPU, format, 10**6) is None
    assert decoder.calls == 0
    decoded = device_jpeg._by_nvjpeg(colour, CPU, "rgb8; jpeg compressed bgr8", 10**6)
    assert decoded is not None and decoded.shape == (40, 56, 3)


@pytest.mark.parametrize(("cut", "reason"), [(0, "empty_data"), (200, "truncated")])
def test_a_damaged_jpeg_is_refused(cut: int, reason: str) -> None:
    with pytest.raises(FrameError) as refused:
        decode_jpeg_on_device(jpeg(photograph(40, 56))[:cut], "cpu")
    assert refused.value.reason == reason


@pytest.fixture(params=[False, True], ids=["full", "tf32"])
def gpu(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = request.param
    yield torch.device("cuda")
    torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.gpu
@pytest.mark.parametrize("encoding", ["mono8", "bgr8", "bgra8", "bayer_gbrg8", "yuv422", "nv12"])
def test_on_a_gpu_as_on_the_cpu(encoding: str, gpu: torch.device) -> None:
    """Several uploads in a row, so that pinned buffers are used again while the device still computes."""
    made, reference = DeviceImages(gpu), DeviceImages("cpu")
    targets = [Target((336, 448), IMAGENET_MEAN, IMAGENET_STD), Target((224, 224), OPENAI_MEAN, OPENAI_STD)]
    frames = [message_pixels(**message(encoding, 480, 640, seed))[0] for seed in range(6)]  # type: ignore[arg-type]
    prepared = [made.prepare(frame, encoding, targets) for frame in frames]
    for frame, ours in zip(frames, prepared, strict=True):
        for mine, other, target in zip(
            ours, reference.prepare(frame, encoding, targets), targets, strict=True
        ):
            assert mine.device.type == "cuda"
            assert (levels(mine, target) - levels(other, target)).abs().max() < 1e-2


@pytest.mark.gpu
def test_a_jpeg_on_a_gpu(gpu: torch.device) -> None:
    y, x = np.mgrid[:480, :640]
    smooth = np.stack([x * 255 / 640, y * 255 / 480, 255 - x * 255 / 640], -1).astype(np.uint8)
    data = jpeg(smooth)
    source_image = decode_jpeg_on_device(data, gpu, "rgb8; jpeg compressed bgr8")
    expected = decode_jpeg_on_device(data, "cpu", "rgb8; jpeg compressed bgr8")
    assert source_image.device.type == "cuda" and source_image.shape == (480, 640, 3)
    assert (source_image.cpu().int() - expected.int()).abs().float().mean() < 2
    with pytest.raises(FrameError):
        decode_jpeg_on_device(data[:-40], gpu)
