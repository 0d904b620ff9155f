"""Features of frames: which of them a request needs, and what the encoders give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from frame_checks import ALL_OUTPUTS, KINDS, exact, noise
from small_models import SHARED, encoders_of, pipeline_of, small_dino

from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.load_encoders import Encoders, load_encoders
from perception_contrast.engines.async_copy import AsyncCopy
from perception_contrast.pipeline.image_encoder_runner import (
    ImageEncoderRunner,
)
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.preprocessing.to_tensor import image_tensor


def test_one_pass_for_both_gives_what_two_passes_give() -> None:
    encoders = encoders_of("lit")
    frame, settings = noise(), PipelineSettings(short_side=56)
    apart = replace(encoders, spatial=small_dino())
    assert encoders.shared_backbone and not apart.shared_backbone
    shared, twice = (Pipeline(e, settings).process(frame, ALL_OUTPUTS) for e in (encoders, apart))
    cosines = (shared.semantic_features.values * twice.semantic_features.values).sum(-1)
    # On processors with bfloat16 products the shared pass uses them.
    assert cosines.min() > 0.99
    assert shared.embedding @ twice.embedding > 0.99 and len(shared.embedding) == SHARED


def test_proxied_features_are_gathered_by_the_spatial_towers_own() -> None:
    encoders, frame, settings = (
        encoders_of("proxied"),
        noise(),
        PipelineSettings(short_side=56, max_tokens=64),
    )
    image_encoder = ImageEncoderRunner(encoders)
    pipeline = Pipeline(encoders, settings, image_encoder=image_encoder)
    seen = pipeline.extract_features(frame)
    dino, clip = encoders.spatial, encoders.language.image_encoder
    inputs = [
        image_tensor(
            frame.image,
            image_encoder.input_size(frame.size, tower.patch, settings),
            tower.mean,
            tower.std,
        )
        for tower in (dino, clip)
    ]
    with torch.inference_mode():
        expected = clip.by_proxy(clip(inputs[1]).values, dino(inputs[0]).tokens)[0].numpy()
    assert seen.semantic.shape[:2] == seen.features.shape[:2] and seen.semantic.space == clip.space
    # On processors with bfloat16 products the pipeline uses them.
    assert (seen.semantic.values * expected).sum(-1).min() > 0.99
    only = pipeline.process(frame, OutputRequest(semantic_features=True))
    np.testing.assert_allclose(only.semantic_features.values, seen.semantic.values, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_windows_give_grids_of_the_same_places(kind: str) -> None:
    whole, tiled = (
        pipeline_of(kind, short_side=300, max_tokens=2048, tile=tile).extract_features(noise(60, 90))
        for tile in (0, 150)
    )
    covered = pipeline_of(kind, short_side=300, max_tokens=2048, tile=1000).extract_features(noise(60, 90))
    for name in ("features", "semantic"):
        one, two, same = (getattr(seen, name) for seen in (whole, tiled, covered))
        assert (one is None) == (two is None) == (same is None)
        if one is not None:
            assert one.shape == two.shape and one.grid_to_image == two.grid_to_image
            assert np.isfinite(two.values).all()
            np.testing.assert_array_equal(one.values, same.values)
    tiling = pipeline_of(kind, short_side=300, max_tokens=2048, tile=150)
    vector = tiling.process(noise(60, 90), OutputRequest(embedding=True)).embedding
    np.testing.assert_allclose(np.linalg.norm(vector), 1, atol=1e-4)


def test_only_what_is_wanted_comes_back_from_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, landed = exact("lit"), []
    start = AsyncCopy.start

    def noted(copying: AsyncCopy, tensors: Any) -> Any:
        landed.append({name for _, name in tensors})
        return start(copying, tensors)

    monkeypatch.setattr(AsyncCopy, "start", noted)
    for request in (
        OutputRequest(masks=True),
        OutputRequest(embedding=True),
        OutputRequest(features=True),
        OutputRequest(),
        ALL_OUTPUTS,
    ):
        pipeline.process(noise(), request)
    pipeline.similarity(noise(), text="red")
    pipeline.extract_features(noise())
    parting = {"grid", "tokens", "things"}
    assert landed[:4] == [parting, {"picture"}, {"tokens"}, set()]
    assert landed[4:] == [{*parting, "picture"}, {"best"}, {*parting, "cls"}]
    pipeline.configure(replace(pipeline.settings, split_instances=False))
    pipeline.process(noise(), OutputRequest(masks=True))
    assert landed[-1] == {"grid"}


@pytest.fixture(scope="module")
def real_encoders() -> Encoders:
    try:
        return load_encoders("dinov2-s14", "none", offline=True)
    except ModelError as error:
        pytest.skip(f"DINOv2 is not in the cache: {error}")


def test_a_real_dinov2_gives_the_towers_tokens(real_encoders: Encoders) -> None:
    pipeline = Pipeline(real_encoders, PipelineSettings(short_side=112))
    frame = noise(120, 150)
    features = pipeline.process(frame, OutputRequest(features=True)).features
    tower = real_encoders.spatial
    size = (features.shape[0] * 14, features.shape[1] * 14)
    with torch.inference_mode():
        expected = tower(image_tensor(frame.image, size, tower.mean, tower.std)).tokens[0].numpy()
    cosine = (features.unit().values * expected).sum(-1) / np.linalg.norm(expected, axis=-1)
    assert features.shape == (8, 10, 384) and cosine.min() > 0.99
