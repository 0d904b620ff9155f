"""Preprocessing against the transforms that timm and open_clip ship for their towers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from perception_contrast.encoders.preprocess import image_tensor
from perception_contrast.encoders.registry import IMAGENET_MEAN, IMAGENET_STD, OPENAI_MEAN, OPENAI_STD


def picture(height: int, width: int) -> np.ndarray:
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

    image = picture(*source)
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

    image = picture(300, 533)
    reference = image_transform(
        size, is_train=False, mean=OPENAI_MEAN, std=OPENAI_STD, resize_mode="squash", interpolation="bicubic"
    )(Image.fromarray(image))
    ours = image_tensor(image, size, OPENAI_MEAN, OPENAI_STD)[0]
    difference = levels(ours, OPENAI_MEAN, OPENAI_STD) - levels(reference, OPENAI_MEAN, OPENAI_STD)
    assert difference.abs().max() < 1e-2


def test_leaves_the_picture_alone() -> None:
    image = picture(28, 42)[:, ::-1]
    before = image.copy()
    same = image_tensor(image, (28, 42), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))[0].permute(1, 2, 0)
    assert np.array_equal(image, before)
    assert np.allclose(same.numpy() * 255, before, atol=1e-3)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_refuses_what_is_no_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="uint8"):
        image_tensor(np.zeros(shape, np.uint8), (14, 14), IMAGENET_MEAN, IMAGENET_STD)
    with pytest.raises(ValueError, match="float64"):
        image_tensor(np.zeros((4, 4, 3)), (14, 14), IMAGENET_MEAN, IMAGENET_STD)  # type: ignore[arg-type]
