"""A pipeline as other rooms use it: tiny models, an encoder that knows colours, a real DINOv2."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from frame_checks import ALL_OUTPUTS, BLUE, KINDS, RED, ask, noise, painted
from small_models import WIDTH, encoders_of, pipeline_of

from perception_contrast.core.detection import frame_ids, instance_value
from perception_contrast.core.errors import FrameError, ModelError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import UNLABELLED, Query
from perception_contrast.encoders.load_encoders import Encoders, load_encoders
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(60, 90), (1, 1), (2, 300), (700, 30), (1200, 1600)])
def test_everything_that_is_wanted_has_the_frames_shape(kind: str, size: tuple[int, int]) -> None:
    pipeline = pipeline_of(kind)
    ask(pipeline, "red", "blue")
    frame = noise(*size)
    result = pipeline.process(frame, ALL_OUTPUTS)
    assert result.frame is frame and result.vocabulary is pipeline.vocabulary
    assert result.features.image_size == size and np.isfinite(result.features.values).all()
    assert result.masks.shape == size and result.masks.dtype == np.uint16
    assert set(np.unique(result.masks)) <= {1, 2, UNLABELLED}
    assert result.overlay.shape == (*size, 3)
    assert result.pca.dtype == np.uint8 and result.pca.shape[1] <= 640
    assert np.linalg.norm(result.embedding) == pytest.approx(1, abs=1e-3)
    assert (result.semantic_features is None) == (kind == "none")
    for grid in filter(None, (result.features, result.semantic_features)):
        rows, columns, _ = grid.shape
        corner = grid.grid_to_image.to_image(columns - 0.5, rows - 0.5)
        assert corner == pytest.approx((size[1] - 0.5, size[0] - 0.5))
    for one in result.detections:
        x0, y0, x1, y1 = one.box
        assert 0 <= x0 < x1 <= size[1] and 0 <= y0 < y1 <= size[0] and one.mask.shape == (y1 - y0, x1 - x0)
        assert one.embedding.ndim == 1 and all(
            0 <= s <= 1 for s in (one.scores.probability, one.scores.relevancy)
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0, 255])
def test_blank_frames_stay_finite(kind: str, value: int) -> None:
    pipeline = pipeline_of(kind)
    ask(pipeline, "red")
    blank = Frame(np.full((60, 90, 3), value, np.uint8))
    result = pipeline.process(blank, ALL_OUTPUTS)
    assert np.isfinite(result.features.values).all() and np.isfinite(result.embedding).all()
    _, exemplar = pipeline.add_exemplar("blank", blank, box=(10, 10, 40, 40))
    assert np.isfinite(exemplar.vector).all()
    assert pipeline.process(blank, ALL_OUTPUTS).masks.shape == (60, 90)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_wanted_is_not_given(kind: str) -> None:
    pipeline = pipeline_of(kind)
    ask(pipeline, "red")
    whole = pipeline.process(noise(), ALL_OUTPUTS)
    for name in vars(ALL_OUTPUTS):
        result = pipeline.process(noise(), OutputRequest(**{name: True}))
        given = {key for key in vars(ALL_OUTPUTS) if getattr(result, key) is not None}
        assert given <= {name}, name
        alone, together = getattr(result, name), getattr(whole, name)
        if name in ("features", "semantic_features") and together is not None:
            alone, together = alone.values, together.values
        if name not in ("detections", "pca", "instances", "region_features") and together is not None:
            assert np.allclose(np.asarray(alone, float), np.asarray(together, float), atol=1e-5), name
    assert not any(vars(pipeline.process(noise(), OutputRequest())).get(key) for key in vars(ALL_OUTPUTS))


@pytest.mark.parametrize("track", [True, False])
def test_ids_vectors_and_pixels_of_a_frame_tie(track: bool) -> None:
    pipeline = pipeline_of("colours", short_side=140, max_tokens=2048)
    pipeline.configure(replace(pipeline.settings, track=track))
    pipeline.set_queries([Query("red"), Query("blue")], ["grey"])
    frame = painted((120, 160), {(20, 30, 70, 90): RED, (90, 30, 140, 90): BLUE})
    result = pipeline.process(frame, ALL_OUTPUTS)
    assert {one.label for one in result.detections} == {"red", "blue"}
    regions = result.region_features
    assert (
        regions.detections == result.detections and regions.semantic_space == result.semantic_features.space
    )
    texts = pipeline.query_encoder.embed_texts(["red", "blue"])
    for found, identity, vectors in zip(
        result.detections, frame_ids(result.detections), regions.vectors, strict=True
    ):
        assert bool(found.track_id) == track
        x, y = (45, 60) if found.label == "red" else (115, 60)
        assert result.instances[y, x] == instance_value(identity)
        assert np.linalg.norm(vectors.spatial) == pytest.approx(1, abs=1e-3)
        best = int(np.argmax(texts @ vectors.semantic))
        assert ["red", "blue"][best] == found.label
    assert result.instances[5, 5] == UNLABELLED
    # Without the detections themselves, the ids are the same: they are tracked for what is made of them too.
    alone = pipeline.process(frame, OutputRequest(instances=True))
    assert alone.detections is None
    np.testing.assert_array_equal(alone.instances, result.instances)


def test_settings_hold_from_the_next_frame_on() -> None:
    pipeline, frame = pipeline_of("none"), noise(60, 90)
    assert pipeline.process(frame, ALL_OUTPUTS).features.shape == (4, 6, WIDTH)
    pipeline.configure(PipelineSettings(short_side=84, max_tokens=1000))
    assert pipeline.process(frame, ALL_OUTPUTS).features.shape == (6, 9, WIDTH)
    pipeline.configure(PipelineSettings(short_side=84, max_tokens=12))
    rows, columns, _ = pipeline.process(frame, ALL_OUTPUTS).features.shape
    assert rows * columns <= 12


def test_a_frame_without_pixels_is_an_error_that_says_so() -> None:
    with pytest.raises(FrameError):
        pipeline_of("lit").process(Frame(np.zeros((0, 5, 3), np.uint8)), ALL_OUTPUTS)


def test_many_threads_may_use_one_pipeline() -> None:
    """Each result must be true of the vocabulary that it names, whatever was set meanwhile."""
    pipeline = pipeline_of("colours", short_side=140, max_tokens=2048)
    frame = painted((120, 160), {(40, 30, 120, 90): RED})
    queries = [[Query("red")], [Query("green"), Query("red")], []]
    errors: list[str] = []

    def change(turn: int) -> None:
        pipeline.set_queries(queries[turn % 3], ["grey"])
        if turn % 4 == 0:
            pipeline.add_exemplar("shown", frame, box=(45, 35, 115, 85))

    def look(_: int) -> None:
        result = pipeline.process(frame, ALL_OUTPUTS)
        labels = {query.label for query in result.vocabulary.queries}
        found = {one.label for one in result.detections}
        if not found <= labels or ("red" in labels) != ("red" in found) or "green" in found:
            errors.append(f"{labels} gave {found}")

    with ThreadPoolExecutor(4) as pool:
        changes = [pool.submit(change, number) for number in range(0, 24, 3)]
        looks = [pool.submit(look, number) for number in range(24)]
        for done in (*changes, *looks):
            done.result()
    assert not errors
    assert pipeline.vocabulary.version == 8 + 2


@pytest.fixture(scope="module")
def real_encoders() -> Encoders:
    try:
        return load_encoders("dinov2-s14", "none", offline=True)
    except ModelError as error:
        pytest.skip(f"DINOv2 is not in the cache: {error}")


def test_a_real_dinov2_finds_the_thing_it_was_shown(real_encoders: Encoders) -> None:
    pipeline = Pipeline(real_encoders, PipelineSettings(short_side=112))
    rng = np.random.default_rng(0)
    image = np.full((224, 280, 3), 150, np.uint8) + rng.integers(0, 12, (224, 280, 1), dtype=np.uint8)
    checks = (np.indices((84, 84)) // 12).sum(0) % 2 == 0
    image[70:154, 140:224][checks] = (200, 30, 30)
    image[70:154, 140:224][~checks] = (240, 220, 40)
    pipeline.add_exemplar("checks", Frame(image), box=(140, 70, 224, 154))
    moved = np.roll(image, (30, -110), (0, 1))
    result = pipeline.process(Frame(moved), OutputRequest(masks=True, detections=True))
    truth = np.zeros((224, 280), bool)
    truth[100:184, 30:114] = True
    mask = result.masks == 1
    assert (mask & truth).sum() / (mask | truth).sum() > 0.5


@pytest.mark.parametrize("kind", ["lit", "apart", "proxied", "clip", "none"])
def test_an_engine_changes_nothing_but_rounding(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path))
    rng = np.random.default_rng(5)
    frame = Frame(rng.integers(0, 255, (60, 90, 3), np.uint8))
    # Without a word about the precision, torch takes bfloat16 on processors where that is faster.
    plain = Pipeline(encoders_of(kind), pipeline_of(kind).settings, precision="fp32")
    other = Pipeline(encoders_of(kind), plain.settings, engine="onnxruntime", precision="fp32")
    other.warm_up((60, 90))
    assert all("onnxruntime fp32" in why for why in other.engines.values())
    left, right = plain.extract_features(frame), other.extract_features(frame)
    for name in ("features", "semantic"):
        one, two = getattr(left, name), getattr(right, name)
        assert (one is None) == (two is None)
        if one is not None:
            assert one.space == two.space
            np.testing.assert_allclose(one.values, two.values, atol=2e-3)
    asked = OutputRequest(embedding=True)
    one, two = (pipeline.process(frame, asked).embedding for pipeline in (plain, other))
    assert one is not None and two is not None
    np.testing.assert_allclose(one, two, atol=1e-3)
