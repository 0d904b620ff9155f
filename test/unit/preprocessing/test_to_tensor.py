"""Preprocessing against what timm, open_clip and transformers ship for their towers, and against Pillow."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from perception_contrast.models.specs import IMAGENET_MEAN, IMAGENET_STD, OPENAI_MEAN, OPENAI_STD
from perception_contrast.preprocessing.to_array import image_array, stretched
from perception_contrast.preprocessing.to_tensor import image_tensor


def source_image(height: int, width: int) -> np.ndarray:
    """Smooth colours, fine stripes and noise, so that aliasing would show."""
    rng = np.random.default_rng(height * width)
    y, x = np.mgrid[:height, :width]
    stripes = ((x // 2 + y // 3) % 2) * 120
    rgb = np.stack([stripes, 255 * x / width, 255 * y / height], axis=-1) + rng.normal(
        0, 20, (height, width, 3)
    )
    return rgb.clip(0, 255).astype(np.uint8)


def levels(tensor: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """Back to 0..255."""
    return 255 * (tensor * torch.tensor(std).view(3, 1, 1) + torch.tensor(mean).view(3, 1, 1))


@pytest.mark.parametrize("source", [(480, 640), (100, 100), (97, 301), (1080, 1920)])
def test_equals_timms_evaluation_transform(source: tuple[int, int]) -> None:
    from timm.data import create_transform

    image = source_image(*source)
    reference = create_transform(
        (3, 224, 224),
        interpolation="bicubic",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop_pct=1.0,
        crop_mode="squash",
    )(Image.fromarray(image))
    ours = image_tensor(image, (224, 224), IMAGENET_MEAN, IMAGENET_STD)
    assert ours.shape == (1, 3, 224, 224) and ours.dtype == torch.float32 and ours.is_contiguous()
    difference = levels(ours[0], IMAGENET_MEAN, IMAGENET_STD) - levels(reference, IMAGENET_MEAN, IMAGENET_STD)
    assert difference.abs().max() < 1e-2


@pytest.mark.parametrize("size", [(224, 224), (252, 448)])
def test_equals_open_clips_transform(size: tuple[int, int]) -> None:
    from open_clip.transform import image_transform

    image = source_image(300, 533)
    reference = image_transform(
        size, is_train=False, mean=OPENAI_MEAN, std=OPENAI_STD, resize_mode="squash", interpolation="bicubic"
    )(Image.fromarray(image))
    ours = image_tensor(image, size, OPENAI_MEAN, OPENAI_STD)[0]
    difference = levels(ours, OPENAI_MEAN, OPENAI_STD) - levels(reference, OPENAI_MEAN, OPENAI_STD)
    assert difference.abs().max() < 1e-2


@pytest.mark.parametrize("source", [(97, 301), (480, 640)])
def test_equals_the_processor_of_transformers(source: tuple[int, int]) -> None:
    from transformers import SiglipImageProcessorPil

    image = source_image(*source)
    processor = SiglipImageProcessorPil(
        size={"height": 224, "width": 252}, resample=Image.Resampling.BICUBIC, image_mean=[0.5] * 3
    )
    reference = processor(image, return_tensors="np")["pixel_values"]
    ours = image_array(image, (224, 252), (0.5,) * 3, tuple(processor.image_std))
    assert ours.dtype == np.float32 and ours.flags.c_contiguous
    assert np.abs(ours - reference).max() * 255 * max(processor.image_std) < 1e-2


sides = st.integers(1, 60)


@settings(max_examples=60, deadline=None)
@given(source=st.tuples(sides, sides), size=st.tuples(sides, sides), seed=st.integers(0, 2**32 - 1))
def test_any_size_is_pillows_image(source: tuple[int, int], size: tuple[int, int], seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (*source, 3), np.uint8)
    reference = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))
    ours = image_array(image, size, (0.0,) * 3, (1.0,) * 3)
    assert ours.shape == (1, 3, *size)
    np.testing.assert_allclose(ours[0].transpose(1, 2, 0) * 255, reference, atol=1e-2)


LARGE = [
    ((480, 640), (336, 448)),
    ((720, 1280), (224, 1290)),
    ((2000, 120), (98, 119)),
    ((1, 110_000), (3, 5)),
]


@pytest.mark.parametrize(("source", "size"), LARGE)
def test_large_images_are_shared_between_threads_to_the_same_levels(
    source: tuple[int, int], size: tuple[int, int]
) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*source, 3), np.uint8)
    reference = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))
    assert np.array_equal(stretched(image, size), reference)


def test_a_forked_process_has_a_thread_of_its_own() -> None:
    image = np.random.default_rng(2).integers(0, 256, (480, 640, 3), np.uint8)
    expected = stretched(image, (98, 126))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert np.array_equal(pool.apply_async(stretched, (image, (98, 126))).get(60), expected)


def test_arrays_need_no_torch(repository: Path) -> None:
    """An exported encoder is served with ONNX Runtime, NumPy and Pillow, and so are its images made."""
    loaded = "bool({'torch', 'cv2'} & set(sys.modules))"
    code = f"import sys, perception_contrast.preprocessing.to_array; sys.exit({loaded})"
    assert subprocess.run([sys.executable, "-c", code], cwd=repository, check=False).returncode == 0


def test_leaves_the_image_alone() -> None:
    image = source_image(28, 42)[:, ::-1]
    before = image.copy()
    same = image_tensor(image, (28, 42), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))[0].permute(1, 2, 0)
    assert np.array_equal(image, before)
    assert np.allclose(same.numpy() * 255, before, atol=1e-3)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_refuses_what_is_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="uint8"):
        image_tensor(np.zeros(shape, np.uint8), (14, 14), IMAGENET_MEAN, IMAGENET_STD)
    with pytest.raises(ValueError, match="float64"):
        image_tensor(np.zeros((4, 4, 3)), (14, 14), IMAGENET_MEAN, IMAGENET_STD)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(0, 14), (14, -1)])
def test_refuses_a_size_without_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        image_tensor(source_image(4, 4), size, IMAGENET_MEAN, IMAGENET_STD)


@pytest.mark.parametrize(("mean", "std"), [((0.5,) * 2, (0.5,) * 3), ((0.5,) * 3, (0.5, 0.5, 0.0))])
def test_refuses_what_cannot_normalise(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="std"):
        image_tensor(source_image(4, 4), (4, 4), mean, std)
