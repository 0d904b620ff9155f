"""Frames that are submitted one by one or together, and their results."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from frame_checks import ALL_OUTPUTS, KINDS, RED, ask, assert_same, exact, noise, painted
from small_models import encoders_of, pipeline_of

from perception_contrast.core.errors import FrameError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query
from perception_contrast.encoders.familiarity.stream_monitor import FIRST_FRAMES
from perception_contrast.encoders.familiarity.training_images import TrainingImages
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.pipeline.feature_extraction import FeatureExtractor
from perception_contrast.pipeline.frame_computation import FrameComputation
from perception_contrast.pipeline.frame_drawing import FrameDrawing
from perception_contrast.pipeline.frame_search import FrameSearch
from perception_contrast.pipeline.frame_tracking import FrameTracking
from perception_contrast.pipeline.image_encoder_runner import (
    ImageEncoderRunner,
    ImageFeatures,
)
from perception_contrast.pipeline.loaded_models import loaded_models
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.segmentation.search_result import SearchResult


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_gives_what_its_frames_give_one_by_one(kind: str) -> None:
    pipeline = exact(kind)
    sizes = [
        (60, 90),
        (120, 180),
        (90, 60),
        (60, 90),
        (60, 91),
    ]  # two of them have one input size with others
    frames = [noise(*size, seed=seed) for seed, size in enumerate(sizes)]
    for frame, result in zip(frames, pipeline.process_batch(frames, ALL_OUTPUTS), strict=True):
        assert result.frame is frame
        assert_same(result, pipeline.process(frame, ALL_OUTPUTS))


def test_frames_of_a_batch_may_want_different_things() -> None:
    pipeline = exact("apart")
    each = [
        OutputRequest(features=True),
        OutputRequest(masks=True),
        OutputRequest(),
        OutputRequest(embedding=True, detections=True),
    ]
    frames = [noise(seed=seed) for seed in range(4)]
    for frame, request, result in zip(frames, each, pipeline.process_batch(frames, each), strict=True):
        assert {key for key in vars(ALL_OUTPUTS) if getattr(result, key) is not None} == {
            key for key, wanted in vars(request).items() if wanted
        }
        assert_same(result, pipeline.process(frame, request))
    with pytest.raises(ValueError, match="4 frames and 2 requests"):
        pipeline.process_batch(frames, each[:2])
    assert pipeline.process_batch([], ALL_OUTPUTS) == []


class RecordingSearch(FrameSearch):
    """Keeps the features that each frame is searched with, by the frame's stamp."""

    def __init__(self, search: FrameSearch) -> None:
        super().__init__(search.searcher)
        self.searched: dict[int, ImageFeatures] = {}

    def search(self, frame: Frame, features: ImageFeatures, *rest: Any) -> SearchResult:
        self.searched[frame.stamp] = features
        return super().search(frame, features, *rest)


def test_a_frame_of_a_batch_is_searched_with_what_it_would_have_alone() -> None:
    """Features that only another frame wants must not help to part this one's things."""
    encoders, pipeline = encoders_of("apart"), exact("apart")
    search = RecordingSearch(pipeline.frame_search)
    runner = ImageEncoderRunner(encoders, precision="fp32")
    features = FeatureExtractor(encoders, runner, pipeline.query_encoder.exemplar_space)
    computation = FrameComputation(
        features, search, FrameTracking(), FrameDrawing(), loaded_models(encoders)["semantic"]
    )
    each = [OutputRequest(masks=True), OutputRequest(masks=True, features=True)]
    prepared = pipeline.prepare(pipeline.vocabulary)
    for pending in computation.submit([noise(seed=0), noise(seed=1)], each, prepared, pipeline.settings):
        pending.result()
    assert search.searched[0].features is None and search.searched[1].features is not None
    assert search.searched[0].semantic is not None and search.searched[0].embedding is None


@pytest.mark.parametrize("bad", [np.zeros((0, 5, 3), np.uint8), np.zeros((60, 90, 3), np.float32)])
def test_a_frame_that_fails_takes_no_other_with_it(bad: np.ndarray) -> None:
    pipeline = exact("lit")
    frames = [noise(seed=1), Frame(bad), noise(seed=2), noise(seed=3)]
    results = pipeline.process_batch(frames, ALL_OUTPUTS)
    assert isinstance(results[1], FrameError | ValueError)
    for index in (0, 2, 3):
        assert_same(results[index], pipeline.process(frames[index], ALL_OUTPUTS))
    with pytest.raises(type(results[1])):
        pipeline.process(Frame(bad), ALL_OUTPUTS)


@pytest.mark.parametrize("kind", KINDS)
def test_windows_of_a_batch_are_those_of_its_frames(kind: str) -> None:
    settings = PipelineSettings(short_side=300, max_tokens=2048, tile=150)
    pipeline = Pipeline(encoders_of(kind), settings, precision="fp32")
    frames = [noise(60, 90, seed=seed) for seed in range(2)]
    request = OutputRequest(features=True, semantic_features=True, embedding=True)
    for frame, result in zip(frames, pipeline.process_batch(frames, request), strict=True):
        assert_same(result, pipeline.process(frame, request))


@pytest.mark.parametrize("kind", KINDS)
def test_results_may_be_asked_for_after_later_frames_were_submitted(kind: str) -> None:
    pipeline = exact(kind)
    frames = [noise(seed=seed) for seed in range(4)]
    tickets = [pipeline.submit(frame, ALL_OUTPUTS) for frame in frames]
    for frame, ticket in reversed(list(zip(frames, tickets, strict=True))):
        result = ticket.result()
        assert result.frame is frame and ticket.result() is result
        assert_same(result, pipeline.process(frame, ALL_OUTPUTS))


def test_a_frame_keeps_the_vocabulary_and_settings_that_it_was_submitted_with() -> None:
    pipeline = pipeline_of("colours", short_side=140, max_tokens=2048)
    frame = painted((120, 160), {(40, 30, 120, 90): RED})
    pipeline.set_queries([Query("red")], ["grey"])
    ticket = pipeline.submit(frame, ALL_OUTPUTS)
    pipeline.set_queries([Query("green")], ["grey"])
    pipeline.configure(replace(pipeline.settings, max_detections=0))
    before = ticket.result()
    assert [one.label for one in before.detections] == ["red"]
    assert [query.label for query in before.vocabulary.queries] == ["red"]


def test_a_stream_unlike_the_training_images_is_told_in_the_result_and_the_overlay() -> None:
    encoders = copy.deepcopy(encoders_of("lit"))
    dim, ones = encoders.spatial.dim, np.ones(1, np.float32)
    far, directions = np.full((1, dim), 1e3, np.float32), np.eye(dim, dtype=np.float32)[None, :2]
    images = TrainingImages(encoders.spatial.space, far, directions, np.ones((1, 2), "f4"), ones, ones, {})
    encoders.language._training_images = images  # type: ignore[union-attr]
    pipeline = Pipeline(encoders, PipelineSettings(short_side=140), precision="fp32")
    pipeline.set_queries([Query("red")])
    frame = noise(240, 320, seed=1)
    results = [pipeline.process(frame, OutputRequest(overlay=True)) for _ in range(FIRST_FRAMES)]
    first, last = results[0], results[-1]
    assert first.familiarity is not None and not first.familiarity.warning
    assert last.familiarity is not None and "household-lit" in last.familiarity.warning
    assert first.overlay is not None and last.overlay is not None
    assert last.overlay[-10:].mean() < 0.7 * first.overlay[-10:].mean()
    assert pipeline.process(frame, OutputRequest(features=True)).familiarity is None


def moved(kind: str, device: str) -> Encoders:
    encoders = copy.deepcopy(encoders_of(kind))
    encoders.spatial.to(device)
    language = encoders.language
    if language is not None:
        (language if isinstance(language, torch.nn.Module) else language.image_encoder).to(device)
    return replace(encoders, device=device)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["lit", "apart", "proxied", "clip", "none"])
def test_frames_submitted_to_a_gpu_give_what_the_cpu_gives(kind: str) -> None:
    settings = PipelineSettings(short_side=56, max_tokens=64)
    pipeline = Pipeline(moved(kind, "cuda"), settings, engine="captured", precision="fp32")
    pipeline.warm_up((60, 90))
    ask(pipeline, "red", "blue")
    frames, reference = [noise(seed=seed) for seed in range(5)], exact(kind)
    tickets = [pipeline.submit(frame, ALL_OUTPUTS) for frame in frames]
    batch = pipeline.process_batch(frames, ALL_OUTPUTS)
    for frame, ticket, together in zip(frames, tickets, batch, strict=True):
        expected = reference.process(frame, ALL_OUTPUTS)
        for result in (ticket.result(), together):
            for name in ("features", "semantic_features"):
                one, two = getattr(result, name), getattr(expected, name)
                if two is not None:
                    assert (one.unit().values * two.unit().values).sum(-1).min() > 0.999
            assert result.embedding @ expected.embedding > 0.999
    assert not pipeline.warnings
