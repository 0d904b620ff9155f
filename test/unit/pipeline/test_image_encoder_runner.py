"""Images through their encoders: frames that go together, and memory that runs out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from frame_checks import ALL_OUTPUTS, ask, assert_same, noise
from small_models import small_dino

from perception_contrast.core.frame import Frame
from perception_contrast.encoders.dinov2 import DinoTower
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.engines.choice import EngineChoice
from perception_contrast.engines.encoder_session import Choosers
from perception_contrast.engines.torch_engine import TorchEngine
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings


def of_dino(**settings: Any) -> tuple[Pipeline, DinoTower]:
    """A pipeline in float32 and its only tower, which forward hooks see each batch of."""
    tower = small_dino()
    chosen = PipelineSettings(**{"short_side": 56, "max_tokens": 64, "track": False, **settings})
    return Pipeline(Encoders(tower, None, "cpu"), chosen, precision="fp32"), tower


def limit_patches(tower: DinoTower, most: int) -> None:
    """Lets memory run out for images of more patches than ``most``."""

    def check(_: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        if arguments[0].shape[-2] * arguments[0].shape[-1] // tower.patch**2 > most:
            raise torch.OutOfMemoryError("CUDA out of memory")

    tower.register_forward_pre_hook(check)


def record_batches(tower: DinoTower, most: int = 1000) -> list[int]:
    """Grows by the size of each batch; memory runs out for more than ``most`` images."""
    sizes: list[int] = []

    def note(_: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        sizes.append(len(arguments[0]))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory")

    tower.register_forward_pre_hook(note)
    return sizes


def test_frames_of_one_input_size_go_through_the_encoder_together() -> None:
    pipeline, tower = of_dino()
    batches = record_batches(tower)
    frames = [noise(60, 90), noise(90, 60), noise(120, 180), noise(60, 90)]
    pipeline.process_batch(frames, OutputRequest(features=True))
    assert sorted(batches) == [1, 3]


def test_an_image_that_does_not_fit_the_gpu_gets_smaller_and_says_so() -> None:
    pipeline, tower = of_dino(short_side=280, max_tokens=1024)
    limit_patches(tower, 300)
    frame = Frame(np.zeros((280, 280, 3), np.uint8))
    grid = pipeline.extract_features(frame).features
    assert grid is not None and 64 <= grid.shape[0] * grid.shape[1] <= 300
    assert "out of GPU memory" in pipeline.warnings[0]
    pipeline.extract_features(frame)
    assert len(pipeline.warnings) == 1, "later images fit at once"


def test_memory_that_never_suffices_is_an_error() -> None:
    pipeline, tower = of_dino(short_side=280, max_tokens=1024)
    limit_patches(tower, 10)
    with pytest.raises(torch.OutOfMemoryError):
        pipeline.extract_features(Frame(np.zeros((280, 280, 3), np.uint8)))


def test_a_batch_that_does_not_fit_the_gpu_is_parted_and_stays_so() -> None:
    pipeline, tower = of_dino()
    ask(pipeline, "red", "blue")
    frames = [noise(seed=seed) for seed in range(5)]
    alone = [pipeline.process(frame, ALL_OUTPUTS) for frame in frames]
    sizes = record_batches(tower, most=2)
    for _ in range(2):
        for one, result in zip(alone, pipeline.process_batch(frames, ALL_OUTPUTS), strict=True):
            assert_same(one, result)
    assert sizes == [5, 2, 1, 2, 2, 1, 2] and len(pipeline.warnings) == 1
    assert alone[0].features.shape == pipeline.process(frames[0], ALL_OUTPUTS).features.shape, (
        "no frame got smaller"
    )


def choosing(faster: Any) -> tuple[Pipeline, DinoTower]:
    """A pipeline that chooses its engine by ``faster`` while it serves, warmed up without waiting."""
    tower = small_dino()
    settings = PipelineSettings(short_side=56, max_tokens=64)
    pipeline = Pipeline(Encoders(tower, None, "cpu"), settings, engine="auto")
    (session,) = pipeline._image_encoder.sessions
    session._choosers = Choosers(remembered=lambda *_: None, faster=faster)
    pipeline.warm_up((60, 90), budget=30.0)
    return pipeline, tower


def test_frames_may_have_settings_of_their_own() -> None:
    pipeline, _ = of_dino(short_side=112, max_tokens=256)
    request, frame = OutputRequest(features=True), noise(112, 112)
    smaller = replace(pipeline.settings, short_side=56)
    (own,) = pipeline.submit_batch([frame], request, smaller)
    assert own.result().features.shape[:2] == (4, 4)
    assert pipeline.process(frame, request).features.shape[:2] == (8, 8)
    pipeline.expect_size((112, 112), smaller)
    assert not pipeline.warnings


def test_memory_that_a_candidate_took_is_freed_before_images_get_smaller() -> None:
    begun, freed = threading.Event(), threading.Event()

    def endless(request: Any, serving: object, trying: object, turn: Any) -> Iterator[EngineChoice]:
        begun.set()
        try:
            while True:
                turn(lambda: None)
        finally:
            freed.set()
        yield EngineChoice(TorchEngine(request.graph, "fp32", "cpu"), "never")

    pipeline, tower = choosing(endless)
    assert begun.wait(20.0)
    shape = pipeline.extract_features(noise()).features.shape

    def short(*_: object) -> None:
        if not freed.is_set():
            raise torch.OutOfMemoryError("CUDA out of memory")

    tower.register_forward_pre_hook(short)
    assert pipeline.extract_features(noise()).features.shape == shape, "no image got smaller"
    assert "while engines were tried" in pipeline.warnings[0]
    assert "called off" in pipeline.engines["spatial"]


def test_a_space_stays_when_another_engine_takes_over() -> None:
    go_on = threading.Event()

    def slow(request: Any, serving: object, trying: object, turn: Any) -> Iterator[EngineChoice]:
        while not go_on.wait(0.01):
            turn(lambda: None)
        yield EngineChoice(TorchEngine(request.graph, "bf16", "cpu"), "torch bf16: in a test")

    pipeline, _ = choosing(slow)
    before = pipeline.extract_features(noise()).features
    assert pipeline.engines["spatial"] == "choosing: serving with torch fp32"
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "engines":
            thread.join(20.0)
    after = pipeline.extract_features(noise()).features
    assert pipeline.engines["spatial"] == "torch bf16: in a test"
    assert before.space == after.space and before.shape == after.shape
    assert not np.array_equal(before.values, after.values)
    pipeline.close()
