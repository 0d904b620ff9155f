"""bfloat16 products leave DINOv2's features where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from perception_contrast.encoders import precision
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.encoders.preprocess import image_tensor
from perception_contrast.errors import ModelError
from perception_contrast.frames.picture import load_picture


@pytest.mark.parametrize("size", [(224, 224), (224, 294)])
def test_tokens_keep_their_direction(
    size: tuple[int, int], shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        tower = load_dino("dinov2-s14", offline=True, pinned=True)
    except ModelError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: True)
    picture = load_picture(shared / "data" / "bedroom_video" / "00000.jpg")
    images = image_tensor(picture, size, tower.mean, tower.std)
    with torch.inference_mode():
        exact = tower(images, (3, 7, 11))
        with precision.quick("cpu"):
            quick = tower(images, (3, 7, 11))
    pairs = zip((exact.tokens, *exact.layers), (quick.tokens, *quick.layers), strict=True)
    for left, right in pairs:
        assert right.dtype == torch.float32
        assert not torch.equal(left, right), "bfloat16 was in use"
        assert torch.cosine_similarity(left, right, dim=-1).min() > 0.999


def test_nothing_changes_without_the_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: False)
    left, right = torch.randn(8, 8), torch.randn(8, 8)
    with precision.quick("cpu"):
        assert (left @ right).dtype == torch.float32
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: True)
    with precision.quick("cuda"):
        assert (left @ right).dtype == torch.float32
    with precision.quick("cpu"):
        assert (left @ right).dtype == torch.bfloat16
