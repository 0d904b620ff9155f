"""bfloat16 products leave DINOv2's features where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.encoders.encoder_graph import graph_of
from perception_contrast.engines import cpu_features as precision
from perception_contrast.engines.torch_engine import TorchEngine
from perception_contrast.images.files import load_image
from perception_contrast.preprocessing.to_tensor import image_tensor


@pytest.mark.parametrize("size", [(224, 224), (224, 294)])
def test_bfloat16_keeps_the_tokens_direction(size: tuple[int, int], shared: Path) -> None:
    try:
        tower = load_dino("dinov2-s14", offline=True, pinned=True)
    except ModelError as error:
        pytest.skip(str(error))
    graph = graph_of(tower)
    image = load_image(shared / "data" / "bedroom_video" / "00000.jpg")
    images = image_tensor(image, size, tower.mean, tower.std)
    exact = TorchEngine(graph, "fp32", "cpu").run(images)
    quick = TorchEngine(graph, "bf16", "cpu").run(images)
    for name, left in exact.items():
        assert quick[name].dtype == torch.float32
        assert not torch.equal(left, quick[name]), "bfloat16 was in use"
        cosines = torch.cosine_similarity(left, quick[name], dim=-1)
        # The least of a thousand tokens depends on how a processor rounds its sums.
        assert cosines.min() > 0.997 and cosines.mean() > 0.9995


def test_bfloat16_never_pays_without_the_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda: False)
    precision.bfloat16_is_faster.cache_clear()
    assert not precision.bfloat16_is_faster()
    precision.bfloat16_is_faster.cache_clear()
