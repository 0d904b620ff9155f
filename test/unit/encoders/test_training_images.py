"""The packaged statistics of training images, on streams that they should and should not tell."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.encoders.familiarity.training_images import load_training_images
from perception_contrast.encoders.household_lit import PACKAGED
from perception_contrast.images.files import load_image
from perception_contrast.images.resize import fitted_size
from perception_contrast.preprocessing.to_tensor import image_tensor


@pytest.fixture(scope="module")
def tower():
    try:
        return load_dino("dinov2-s14", offline=True, pinned=True)
    except ModelError as error:
        pytest.skip(str(error))


def test_they_are_small_and_of_the_image_encoder(tower) -> None:
    assert PACKAGED["household-lit"].images.stat().st_size < 500_000
    images = load_training_images(PACKAGED["household-lit"].images)
    assert images.space == tower.space and float(images.facts["quantile"]) == 0.9


def test_roads_are_told_and_a_bedroom_is_not(tower, shared: Path) -> None:
    images = load_training_images(PACKAGED["household-lit"].images)

    def mean_unlikeness(folder: Path) -> float:
        vectors = []
        for path in islice(sorted(folder.glob("*.[jp][pn]g")), 0, None, 10):
            image = load_image(path)
            size = fitted_size(image.shape[:2], 378, 14, 2048)
            with torch.inference_mode():
                vectors.append(tower(image_tensor(image, size, tower.mean, tower.std)).cls[0].numpy())
        return float(images.unlikeness(np.stack(vectors)).mean())

    assert mean_unlikeness(shared / "data/camvid/images") > 1.0
    assert mean_unlikeness(shared / "data/bedroom_video") < 0.95
