"""A frame's whole walk, with tiny models, with a tower that knows colours, and with a real DINOv2."""

from __future__ import annotations

import copy
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_models import SHARED, WIDTH, encoders_of, pipeline_of

from perception_contrast.core.errors import FrameError, ModelError, QueryError, SpaceError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import UNLABELLED, Exemplar, Query
from perception_contrast.encoders.load_encoders import Encoders, load_encoders
from perception_contrast.pipeline.pipeline import OutputRequest, Pipeline, Settings
from perception_contrast.preprocessing.to_tensor import image_tensor
from perception_contrast.segmentation.upsampling.bilinear import upsample_bilinear

ALL = OutputRequest(True, True, True, True, True, True, True)
KINDS = ("lit", "apart", "proxied", "clip", "none", "colours")
RED, GREEN, BLUE, GREY = (230, 20, 20), (20, 230, 20), (20, 20, 230), (128, 128, 128)


def noise(height: int = 60, width: int = 90, seed: int = 0) -> Frame:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Frame(image, stamp=seed, frame_id="camera")


def painted(size: tuple[int, int], things: dict[tuple[int, int, int, int], tuple[int, int, int]]) -> Frame:
    image = np.full((*size, 3), 128, np.uint8)
    for (x0, y0, x1, y1), colour in things.items():
        image[y0:y1, x0:x1] = colour
    return Frame(image)


def ask(pipeline: Pipeline, *labels: str) -> None:
    """Words where the model knows some, the whole of an image of noise where it does not."""
    if pipeline.text_model:
        pipeline.set_queries([Query(label) for label in labels])
    else:
        for label in labels:
            pipeline.add_exemplar(label, noise(seed=9))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(60, 90), (1, 1), (2, 300), (700, 30), (1200, 1600)])
def test_everything_that_is_wanted_has_the_frames_shape(kind: str, size: tuple[int, int]) -> None:
    pipeline = pipeline_of(kind)
    ask(pipeline, "red", "blue")
    frame = noise(*size)
    result = pipeline.process(frame, ALL)
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
    result = pipeline.process(blank, ALL)
    assert np.isfinite(result.features.values).all() and np.isfinite(result.embedding).all()
    _, exemplar = pipeline.add_exemplar("blank", blank, box=(10, 10, 40, 40))
    assert np.isfinite(exemplar.vector).all()
    assert pipeline.process(blank, ALL).masks.shape == (60, 90)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_wanted_is_not_given(kind: str) -> None:
    pipeline = pipeline_of(kind)
    ask(pipeline, "red")
    whole = pipeline.process(noise(), ALL)
    for name in ("features", "semantic_features", "embedding", "masks", "detections", "overlay", "pca"):
        result = pipeline.process(noise(), OutputRequest(**{name: True}))
        given = {key for key in vars(ALL) if getattr(result, key) is not None}
        assert given <= {name}, name
        alone, together = getattr(result, name), getattr(whole, name)
        if name in ("features", "semantic_features") and together is not None:
            alone, together = alone.values, together.values
        if name not in ("detections", "pca") and together is not None:
            assert np.allclose(np.asarray(alone, float), np.asarray(together, float), atol=1e-5), name
    assert not any(vars(pipeline.process(noise(), OutputRequest())).get(key) for key in vars(ALL))


def test_no_queries_find_nothing() -> None:
    for kind in KINDS:
        result = pipeline_of(kind).process(noise(), ALL)
        assert (result.masks == UNLABELLED).all() and result.detections == ()
        assert np.array_equal(result.overlay, result.frame.image)


def test_one_pass_for_both_gives_what_two_passes_give() -> None:
    encoders = encoders_of("lit")
    frame, settings = noise(), Settings(short_side=56)
    shared, twice = (
        Pipeline(e, settings).process(frame, ALL) for e in (encoders, replace(encoders, shared=False))
    )
    cosines = (shared.semantic_features.values * twice.semantic_features.values).sum(-1)
    # On processors with bfloat16 products the shared pass uses them.
    assert cosines.min() > 0.99
    assert shared.embedding @ twice.embedding > 0.99 and len(shared.embedding) == SHARED


def test_proxied_features_are_gathered_by_the_spatial_towers_own() -> None:
    pipeline, frame = pipeline_of("proxied"), noise()
    seen = pipeline.see(frame)
    dino, clip = encoders_of("proxied").spatial, encoders_of("proxied").language.tower
    inputs = [
        image_tensor(
            frame.image,
            pipeline._towers.input_size(frame.size, tower.patch, pipeline.settings),
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
        pipeline_of(kind, short_side=300, max_tokens=2048, tile=tile).see(noise(60, 90)) for tile in (0, 150)
    )
    covered = pipeline_of(kind, short_side=300, max_tokens=2048, tile=1000).see(noise(60, 90))
    for name in ("features", "semantic"):
        one, two, same = (getattr(seen, name) for seen in (whole, tiled, covered))
        assert (one is None) == (two is None) == (same is None)
        if one is not None:
            assert one.shape == two.shape and one.grid_to_image == two.grid_to_image
            assert np.isfinite(two.values).all()
            np.testing.assert_array_equal(one.values, same.values)
    np.testing.assert_allclose(np.linalg.norm(tiled.embedding), 1, atol=1e-4)


def test_colours_are_found_where_they_are() -> None:
    pipeline = pipeline_of("colours", short_side=378, max_tokens=2048, refine=True)
    boxes = {(60, 40, 200, 180): RED, (380, 100, 560, 250): GREEN, (250, 300, 330, 420): RED}
    frame = painted((480, 640), boxes)
    pipeline.set_queries([Query("my red thing", ("red",)), Query("green")], ["blue", "grey"])
    result = pipeline.process(frame, ALL)
    expected = sorted(
        (("green" if colour == GREEN else "my red thing"), box) for box, colour in boxes.items()
    )
    found = sorted((one.label, one.box) for one in result.detections)
    assert [label for label, _ in found] == [label for label, _ in expected]
    cell = 480 / 27  # one that a thing covers in part may count as all of it
    for (_, box), (_, truth) in zip(found, expected, strict=True):
        assert np.abs(np.array(box) - truth).max() <= cell, (box, truth)
    for (x0, y0, x1, y1), colour in boxes.items():
        inner = result.masks[y0 + 18 : y1 - 18, x0 + 18 : x1 - 18]
        assert (inner == (2 if colour == GREEN else 1)).all()
    assert result.masks[10, 10] == result.masks[470, 630] == UNLABELLED


def test_ids_stay_with_their_things_and_never_come_again() -> None:
    numbers = itertools.count(1)
    settings = Settings(short_side=378)
    pipeline = Pipeline(encoders_of("colours"), settings, track_numbers=numbers)
    pipeline.set_queries([Query("red"), Query("green")], ["blue", "grey"])

    def ids(k: int, camera: str = "left", stream: str = "") -> list[str]:
        boxes = {(60 + 9 * k, 40, 200 + 9 * k, 180): RED, (380, 200, 560, 350): GREEN}
        frame = replace(painted((480, 640), boxes), stamp=(k + 1) * 10**8, frame_id=camera)
        result = pipeline.process(replace(frame, stream=stream), OutputRequest(detections=True))
        return [d.track_id for d in sorted(result.detections, key=lambda d: d.label)]

    first = ids(0)
    assert len(set(first)) == 2 and ids(1) == ids(2) == first
    assert set(ids(3, "right")) == {"3", "4"} and ids(4) == first
    pipeline.configure(replace(settings, track=False))
    assert ids(5) == ["", ""]
    pipeline.configure(settings)
    assert ids(6) == first
    pipeline = Pipeline(encoders_of("colours"), settings, track_numbers=numbers)
    pipeline.set_queries([Query("red"), Query("green")], ["blue", "grey"])
    assert set(ids(0)) == {"5", "6"}
    # Two cameras that a driver gave one frame_id are two all the same.
    assert set(ids(1, stream="other")) == {"7", "8"} and set(ids(2)) == {"5", "6"}


def test_a_vocabulary_of_other_models_goes_on_in_words_with_its_ids() -> None:
    old, new = pipeline_of("lit"), pipeline_of("apart")
    old.set_queries([Query("gone"), Query("mug", ("a mug",))], ["wall"])
    old.set_queries([Query("mug", ("a mug",))], ["wall"])
    frame = painted((48, 64), {(10, 10, 40, 40): RED})
    old.add_exemplar("mug", frame)
    old.add_exemplar("shown", frame)
    lines = new.adopt(old.vocabulary)
    assert len(lines) == 2 and "'shown'" in lines[1]
    assert [query.label for query in new.vocabulary.queries] == ["mug"]
    assert (new.vocabulary.ids, new.vocabulary.distractors) == (old.vocabulary.ids, ("wall",))
    direct = pipeline_of("apart")
    direct.set_queries([Query("mug", ("a mug",))], ["wall"])
    request = OutputRequest(masks=True)
    labels = [one.process(frame, request).masks for one in (new, direct)]
    names = [{number: label for label, number in one.vocabulary.ids.items()} for one in (new, direct)]
    assert names[0][2] == names[1][1] == "mug"
    np.testing.assert_array_equal(labels[0] == 2, labels[1] == 1)
    wordless = pipeline_of("none")
    with pytest.raises(QueryError, match="no language model"):
        wordless.adopt(old.vocabulary)
    assert wordless.vocabulary.queries == ()


@pytest.mark.parametrize("size", [(480, 640), (97, 150), (1500, 1000), (60, 400)])
def test_boxes_come_back_in_the_frames_own_pixels(size: tuple[int, int]) -> None:
    pipeline = pipeline_of("colours", short_side=378, max_tokens=2048)
    height, width = size
    truth = (width // 4, height // 4, width * 3 // 4, height * 3 // 4)
    pipeline.set_queries([Query("green")], ["grey"])
    (one,) = pipeline.process(painted(size, {truth: GREEN}), OutputRequest(detections=True)).detections
    assert np.abs(np.array(one.box) - truth).max() <= max(1, min(size) / 27)


def test_similarity_with_a_text_is_highest_on_its_colour() -> None:
    pipeline = pipeline_of("colours", short_side=378, max_tokens=2048)
    frame = painted((480, 640), {(100, 100, 300, 300): BLUE})
    heat, space = pipeline.similarity(frame, text="blue")
    assert heat.shape == (480, 640) and heat.dtype == np.float32 and space == pipeline.text_space
    assert heat[120:280, 120:280].min() > 0.95 and heat[:80].max() < 0.3
    assert heat.min() >= -1 and heat.max() <= 1


def test_a_score_map_is_soft_and_high_where_the_label_is() -> None:
    pipeline = pipeline_of("colours", short_side=378, max_tokens=2048)
    pipeline.set_queries([Query("sky", ("blue",)), Query("green")], ["grey"])
    frame = painted((480, 640), {(100, 100, 300, 300): BLUE})
    scores, space = pipeline.score_map(frame, "sky")
    assert scores.shape == (480, 640) and scores.dtype == np.float32 and space == pipeline.text_space
    assert 0 <= scores.min() < 0.5 < scores[150:250, 150:250].min() <= scores.max() <= 1
    assert scores[:60].max() < 0.5
    with pytest.raises(QueryError, match="'sea' is not in the vocabulary; its labels are: sky, green"):
        pipeline.score_map(frame, "sea")


def test_similarity_with_a_point_is_the_cosine_of_its_cell() -> None:
    pipeline, frame = pipeline_of("none"), noise(56, 84)  # cells of 14 pixels
    heat, space = pipeline.similarity(frame, point=(20.0, 50.0))
    grid = pipeline.process(frame, OutputRequest(features=True)).features
    assert space == grid.space and heat[50, 20] > 0.5
    values = grid.values / np.linalg.norm(grid.values, axis=-1, keepdims=True)
    cosines = values @ values[50 // 14, 20 // 14]
    # Centres of cells lie between two pixels, which share the cell's neighbours evenly.
    centres = heat[6::14, 6::14] / 2 + heat[7::14, 7::14] / 2
    assert np.corrcoef(centres.ravel(), cosines.ravel())[0, 1] > 0.99
    assert np.unravel_index(heat.argmax(), heat.shape)[0] // 14 == 50 // 14


@pytest.mark.parametrize("where", [{}, {"point": (1, 1), "text": "red"}])
def test_similarity_takes_a_point_or_a_text(where: dict) -> None:
    with pytest.raises(QueryError, match="either"):
        pipeline_of("colours").similarity(noise(), **where)


@pytest.mark.parametrize("kind", ["lit", "apart", "clip", "none"])
def test_a_shown_thing_lives_in_the_space_that_is_announced(kind: str) -> None:
    pipeline = pipeline_of(kind)
    ask(pipeline, "red")
    vocabulary, exemplar = pipeline.add_exemplar("key", noise(), point=(30, 30))
    assert exemplar.space == pipeline.exemplar_space and np.linalg.norm(exemplar.vector) == pytest.approx(
        1, abs=1e-3
    )
    assert vocabulary is pipeline.vocabulary and vocabulary.queries[-1].exemplars == (exemplar,)
    bare = Exemplar(exemplar.vector, exemplar.space)  # as it comes back over ROS
    pipeline.set_queries([Query("key", exemplars=(bare,)), Query("key again", exemplars=(exemplar, bare))])
    result = pipeline.process(noise(), ALL)
    assert {one.space for one in result.detections} <= {pipeline.exemplar_space}


def test_an_example_goes_through_the_heads_adapter() -> None:
    encoders = encoders_of("lit")
    pipeline, frame = Pipeline(encoders, Settings(short_side=56)), noise(56, 84)
    _, exemplar = pipeline.add_exemplar("all of it", frame)
    mean = pipeline.process(frame, ALL).semantic_features.values.mean((0, 1))
    with torch.no_grad():
        unit = torch.from_numpy(mean / np.linalg.norm(mean))[None]
        expected = encoders.language.head.example_embedding(unit)[0].numpy()
    assert np.allclose(exemplar.vector, expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["lit", "apart", "clip", "none"])
def test_exemplars_that_cannot_be_compared_are_refused_when_given(kind: str) -> None:
    pipeline = pipeline_of(kind)
    ask(pipeline, "red")
    before = pipeline.vocabulary
    short = np.array([0.6, 0.8], np.float32)
    with pytest.raises(QueryError, match="2 values"):
        pipeline.set_queries([Query("key", exemplars=(Exemplar(short, pipeline.exemplar_space),))])
    dim = {"lit": SHARED, "clip": 32}.get(kind, WIDTH)
    with pytest.raises(SpaceError, match="other@1"):
        pipeline.set_queries(
            [Query("key", exemplars=(Exemplar(np.eye(dim, dtype=np.float32)[0], "other@1"),))]
        )
    assert pipeline.vocabulary is before and pipeline.process(noise(), ALL).vocabulary is before


@pytest.mark.parametrize(
    "where",
    [{"box": (200, 0, 210, 10)}, {"box": (5, 5, 5, 9)}, {"point": (90.0, 5.0)}, {"point": (0.0, np.nan)}],
)
def test_an_example_outside_the_image_changes_nothing(where: dict) -> None:
    pipeline = pipeline_of("lit")
    with pytest.raises(QueryError):
        pipeline.add_exemplar("key", noise(), **where)
    assert pipeline.vocabulary.version == 0 and not pipeline.vocabulary.queries


@pytest.mark.parametrize(
    ("queries", "said"),
    [
        ([Query("mug"), Query(" mug ")], "more than once"),
        ([Query("mug", ("",))], "empty"),
        ([Query("mug", ("x" * 2000,))], "at most 512"),
        ([Query(str(n)) for n in range(1025)], "at most 1024"),
    ],
)
@pytest.mark.parametrize("kind", ["lit", "clip"])
def test_a_vocabulary_that_is_refused_leaves_the_old_one(kind: str, queries: list[Query], said: str) -> None:
    pipeline = pipeline_of(kind)
    ask(pipeline, "red")
    before = pipeline.vocabulary
    with pytest.raises(QueryError, match=said):
        pipeline.set_queries(queries)
    assert pipeline.vocabulary is before and pipeline.process(noise(), ALL).vocabulary is before


@pytest.mark.parametrize("kind", ["lit", "colours"])
def test_a_thousand_queries_in_any_script_are_searched(kind: str) -> None:
    pipeline = pipeline_of(kind)
    scripts = ["☕", "👩‍🍳", "كوب أحمر", "红色杯子", "cafe\u0301", "कप"]
    pipeline.set_queries([Query(label) for label in (*scripts, *(f"thing {n}" for n in range(994)))])
    result = pipeline.process(noise(), ALL)
    assert len(result.vocabulary.queries) == 1000 and result.masks.shape == (60, 90)


def test_words_and_examples_of_one_query_each_find_their_thing() -> None:
    pipeline = pipeline_of("colours", short_side=378, max_tokens=2048)
    boxes = {(60, 40, 200, 180): RED, (380, 100, 560, 250): GREEN}
    frame = painted((480, 640), boxes)
    pipeline.set_queries([Query("it", ("red",))], ["blue", "grey"])

    def places() -> set[str]:
        masks = pipeline.process(frame, ALL).masks
        return {name for name, at in (("red", (110, 130)), ("green", (175, 470))) if masks[at] == 1}

    assert places() == {"red"}
    pipeline.add_exemplar("it", frame, box=(380, 100, 560, 250))
    assert places() == {"red", "green"}, "an example is one more way to find it"
    pipeline.set_queries([replace(pipeline.vocabulary.queries[0], phrases=())], ["blue", "grey"])
    assert places() == {"green"}


def test_a_negative_acts_on_its_own_label_alone() -> None:
    pipeline = pipeline_of("colours", short_side=378, max_tokens=2048)
    frame = painted((480, 640), {(60, 40, 200, 180): RED, (380, 100, 560, 250): GREEN})
    for negatives, seen in (((), {"red", "green"}), (("green",), {"red"})):
        asked = Query("bright", ("red", "yellow"), negatives=negatives)
        pipeline.set_queries([asked, Query("green")], ["blue", "grey"])
        found = pipeline.process(frame, ALL).detections
        assert {"red" if one.box[0] < 300 else "green" for one in found if one.label == "bright"} == seen
        assert any(one.label == "green" for one in found), "the other label still finds it"


def test_without_a_language_model_words_are_refused() -> None:
    pipeline = pipeline_of("none")
    assert (pipeline.text_model, pipeline.text_space) == ("", "")
    shown = pipeline.add_exemplar("mug", noise())[0].queries[0]
    for attempt in (
        lambda: pipeline.set_queries([Query("mug")]),
        lambda: pipeline.set_queries([], ["wall"]),
        lambda: pipeline.set_queries([replace(shown, negatives=("wall",))]),
        lambda: pipeline.embed_texts(["mug"]),
        lambda: pipeline.similarity(noise(), text="mug"),
    ):
        with pytest.raises(QueryError, match="language model"):
            attempt()
    assert pipeline.models["semantic"] == pipeline.models["spatial"]


@pytest.mark.parametrize("kind", ["lit", "clip"])
def test_embedded_texts_are_unit_rows(kind: str) -> None:
    pipeline = pipeline_of(kind)
    vectors = pipeline.embed_texts(["a mug", "☕", "x" * 2000])
    assert vectors.dtype == np.float32 and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert pipeline.text_space == pipeline.models["semantic"][1]
    for texts in ([], ["mug", " "]):
        with pytest.raises(QueryError):
            pipeline.embed_texts(texts)


def test_settings_hold_from_the_next_frame_on() -> None:
    pipeline, frame = pipeline_of("none"), noise(60, 90)
    assert pipeline.process(frame, ALL).features.shape == (4, 6, WIDTH)
    pipeline.configure(Settings(short_side=84, max_tokens=1000))
    assert pipeline.process(frame, ALL).features.shape == (6, 9, WIDTH)
    pipeline.configure(Settings(short_side=84, max_tokens=12))
    rows, columns, _ = pipeline.process(frame, ALL).features.shape
    assert rows * columns <= 12


def test_a_frame_without_pixels_is_an_error_that_says_so() -> None:
    with pytest.raises(FrameError):
        pipeline_of("lit").process(Frame(np.zeros((0, 5, 3), np.uint8)), ALL)


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
        result = pipeline.process(frame, ALL)
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
def real() -> Pipeline:
    try:
        return Pipeline(load_encoders("dinov2-s14", "none", offline=True), Settings(short_side=112))
    except ModelError as error:
        pytest.skip(f"DINOv2 is not in the cache: {error}")


def test_a_real_dinov2_gives_the_towers_tokens(real: Pipeline) -> None:
    frame = noise(120, 150)
    features = real.process(frame, OutputRequest(features=True)).features
    tower = real._encoders.spatial
    size = (features.shape[0] * 14, features.shape[1] * 14)
    with torch.inference_mode():
        expected = tower(image_tensor(frame.image, size, tower.mean, tower.std)).tokens[0].numpy()
    cosine = (features.unit().values * expected).sum(-1) / np.linalg.norm(expected, axis=-1)
    assert features.shape == (8, 10, 384) and cosine.min() > 0.99


def test_a_real_dinov2_finds_the_thing_it_was_shown(real: Pipeline) -> None:
    rng = np.random.default_rng(0)
    image = np.full((224, 280, 3), 150, np.uint8) + rng.integers(0, 12, (224, 280, 1), dtype=np.uint8)
    checks = (np.indices((84, 84)) // 12).sum(0) % 2 == 0
    image[70:154, 140:224][checks] = (200, 30, 30)
    image[70:154, 140:224][~checks] = (240, 220, 40)
    real.add_exemplar("checks", Frame(image), box=(140, 70, 224, 154))
    moved = np.roll(image, (30, -110), (0, 1))
    result = real.process(Frame(moved), OutputRequest(masks=True, detections=True))
    truth = np.zeros((224, 280), bool)
    truth[100:184, 30:114] = True
    mask = result.masks == 1
    assert (mask & truth).sum() / (mask | truth).sum() > 0.5


class TooBig:
    """Stands before a graph and runs out of memory above so many patches."""

    def __init__(self, served: Any, most: int) -> None:
        self.graph, self.device, self.warnings = served.graph, served.device, ()
        self._served, self._most = served, most

    def engine_for(self, size: tuple[int, int]) -> Any:
        return self._served.engine_for(size)

    def run(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        if images.shape[-2] * images.shape[-1] // self.graph.patch**2 > self._most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self._served.run(images)


def test_an_image_that_does_not_fit_the_gpu_gets_smaller_and_says_so() -> None:
    pipeline = pipeline_of("none", short_side=280, max_tokens=1024)
    pipeline._towers._spatial = TooBig(pipeline._towers._spatial, 300)
    frame = Frame(np.zeros((280, 280, 3), np.uint8))
    grid = pipeline.see(frame).features
    assert grid is not None and 64 <= grid.shape[0] * grid.shape[1] <= 300
    assert "out of GPU memory" in pipeline.warnings[0]
    pipeline.see(frame)
    assert len(pipeline.warnings) == 1, "later images fit at once"


def test_memory_that_never_suffices_is_an_error() -> None:
    pipeline = pipeline_of("none", short_side=280, max_tokens=1024)
    pipeline._towers._spatial = TooBig(pipeline._towers._spatial, 10)
    with pytest.raises(torch.OutOfMemoryError):
        pipeline.see(Frame(np.zeros((280, 280, 3), np.uint8)))


def assert_same(left: Any, right: Any) -> None:
    """Two results of one frame, up to the rounding of a batch."""
    for name in ("features", "semantic_features"):
        one, two = getattr(left, name), getattr(right, name)
        assert (one is None) == (two is None), name
        if one is not None:
            assert (one.space, one.grid_to_image) == (two.space, two.grid_to_image)
            np.testing.assert_allclose(one.values, two.values, atol=1e-4)
    for name in ("embedding", "masks", "overlay"):
        one, two = getattr(left, name), getattr(right, name)
        assert (one is None) == (two is None), name
        if one is not None:
            np.testing.assert_allclose(one.astype(float), two.astype(float), atol=1e-4, err_msg=name)
    assert (left.detections is None) == (right.detections is None)
    for one, two in zip(left.detections or (), right.detections or (), strict=True):
        assert (one.label, one.box) == (two.label, two.box)
        np.testing.assert_allclose(one.embedding, two.embedding, atol=1e-4)


def exact(kind: str) -> Pipeline:
    """In float32 and without tracks, so that a frame gives the same each time."""
    settings = Settings(short_side=56, max_tokens=64, track=False)
    pipeline = Pipeline(encoders_of(kind), settings, precision="fp32")
    ask(pipeline, "red", "blue")
    return pipeline


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
    for frame, result in zip(frames, pipeline.process_batch(frames, ALL), strict=True):
        assert result.frame is frame
        assert_same(result, pipeline.process(frame, ALL))


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
        assert {key for key in vars(ALL) if getattr(result, key) is not None} == {
            key for key, wanted in vars(request).items() if wanted
        }
        assert_same(result, pipeline.process(frame, request))
    with pytest.raises(ValueError, match="4 frames and 2 wants"):
        pipeline.process_batch(frames, each[:2])
    assert pipeline.process_batch([], ALL) == []


def test_a_frame_of_a_batch_is_searched_with_what_it_would_have_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Features that only another frame wants must not help to part this one's things."""
    pipeline, searched = exact("apart"), {}
    find = pipeline.find

    def noted(frame: Frame, seen: Any, *rest: Any) -> Any:
        searched[frame.stamp] = seen
        return find(frame, seen, *rest)

    monkeypatch.setattr(pipeline, "find", noted)
    each = [OutputRequest(masks=True), OutputRequest(masks=True, features=True)]
    pipeline.process_batch([noise(seed=0), noise(seed=1)], each)
    assert searched[0].features is None and searched[1].features is not None
    assert searched[0].semantic is not None and searched[0].embedding is None


def counted(pipeline: Pipeline) -> list[int]:
    """Grows by the size of each batch that the spatial tower sees."""
    batches: list[int] = []
    served = pipeline._towers._spatial
    plain = served.run

    def run(images: torch.Tensor) -> dict[str, torch.Tensor]:
        batches.append(len(images))
        return plain(images)

    served.run = run  # type: ignore[method-assign]
    return batches


def test_frames_of_one_input_size_go_through_the_towers_together() -> None:
    pipeline = exact("none")
    batches = counted(pipeline)
    frames = [noise(60, 90), noise(90, 60), noise(120, 180), noise(60, 90)]
    pipeline.process_batch(frames, OutputRequest(features=True))
    assert sorted(batches) == [1, 3]


@pytest.mark.parametrize("bad", [np.zeros((0, 5, 3), np.uint8), np.zeros((60, 90, 3), np.float32)])
def test_a_frame_that_fails_takes_no_other_with_it(bad: np.ndarray) -> None:
    pipeline = exact("lit")
    frames = [noise(seed=1), Frame(bad), noise(seed=2), noise(seed=3)]
    results = pipeline.process_batch(frames, ALL)
    assert isinstance(results[1], FrameError | ValueError)
    for index in (0, 2, 3):
        assert_same(results[index], pipeline.process(frames[index], ALL))
    with pytest.raises(type(results[1])):
        pipeline.process(Frame(bad), ALL)


@pytest.mark.parametrize("kind", KINDS)
def test_windows_of_a_batch_are_those_of_its_frames(kind: str) -> None:
    settings = Settings(short_side=300, max_tokens=2048, tile=150)
    pipeline = Pipeline(encoders_of(kind), settings, precision="fp32")
    frames = [noise(60, 90, seed=seed) for seed in range(2)]
    request = OutputRequest(features=True, semantic_features=True, embedding=True)
    for frame, result in zip(frames, pipeline.process_batch(frames, request), strict=True):
        assert_same(result, pipeline.process(frame, request))


def test_a_batch_that_does_not_fit_the_gpu_is_parted_and_stays_so() -> None:
    class Crowded(TooBig):
        def run(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            sizes.append(len(images))
            if len(images) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return self._served.run(images)

    sizes: list[int] = []
    pipeline = exact("none")
    frames = [noise(seed=seed) for seed in range(5)]
    alone = [pipeline.process(frame, ALL) for frame in frames]
    pipeline._towers._spatial = Crowded(pipeline._towers._spatial, 0)
    for _ in range(2):
        for one, result in zip(alone, pipeline.process_batch(frames, ALL), strict=True):
            assert_same(one, result)
    assert sizes == [5, 2, 1, 2, 2, 1, 2] and len(pipeline.warnings) == 1
    assert alone[0].features.shape == pipeline.process(frames[0], ALL).features.shape, "no frame got smaller"


@pytest.mark.parametrize("kind", KINDS)
def test_results_may_be_asked_for_after_later_frames_were_submitted(kind: str) -> None:
    pipeline = exact(kind)
    frames = [noise(seed=seed) for seed in range(4)]
    tickets = [pipeline.submit(frame, ALL) for frame in frames]
    for frame, ticket in reversed(list(zip(frames, tickets, strict=True))):
        result = ticket.result()
        assert result.frame is frame and ticket.result() is result
        assert_same(result, pipeline.process(frame, ALL))


def test_a_frame_keeps_the_vocabulary_and_settings_that_it_was_submitted_with() -> None:
    pipeline = pipeline_of("colours", short_side=140, max_tokens=2048)
    frame = painted((120, 160), {(40, 30, 120, 90): RED})
    pipeline.set_queries([Query("red")], ["grey"])
    ticket = pipeline.submit(frame, ALL)
    pipeline.set_queries([Query("green")], ["grey"])
    pipeline.configure(replace(pipeline.settings, max_detections=0))
    before = ticket.result()
    assert [one.label for one in before.detections] == ["red"]
    assert [query.label for query in before.vocabulary.queries] == ["red"]


def test_a_new_vocabulary_holds_up_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = pipeline_of("colours")
    pipeline.set_queries([Query("red")])
    begun, go_on = threading.Event(), threading.Event()
    encode = pipeline._encoders.language.text.encode

    def slow(texts: list[str]) -> np.ndarray:
        begun.set()
        assert go_on.wait(30)
        return encode(texts)

    monkeypatch.setattr(pipeline._encoders.language.text, "encode", slow)
    with ThreadPoolExecutor(1) as pool:
        change = pool.submit(pipeline.set_queries, [Query(f"thing {n}") for n in range(100)])
        assert begun.wait(30)
        old = pipeline.process(noise(), ALL).vocabulary
        go_on.set()
        new = change.result()
    assert len(old.queries) == 1 and pipeline.process(noise(), ALL).vocabulary is new
    assert len(new.queries) == 100


def test_only_what_is_wanted_comes_back_from_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, landed = exact("lit"), []
    start = pipeline._towers._landing.start

    def noted(tensors: Any) -> Any:
        landed.append({name for _, name in tensors})
        return start(tensors)

    monkeypatch.setattr(pipeline._towers._landing, "start", noted)
    for request in (
        OutputRequest(masks=True),
        OutputRequest(embedding=True),
        OutputRequest(features=True),
        OutputRequest(),
        ALL,
    ):
        pipeline.process(noise(), request)
    pipeline.similarity(noise(), text="red")
    pipeline.see(noise())
    parting = {"grid", "tokens", "things"}
    assert landed[:4] == [parting, {"picture"}, {"tokens"}, set()]
    assert landed[4:] == [{*parting, "picture"}, {"best"}, {*parting, "picture"}]
    pipeline.configure(replace(pipeline.settings, split=False))
    pipeline.process(noise(), OutputRequest(masks=True))
    assert landed[-1] == {"grid"}


@pytest.mark.parametrize("kind", ["lit", "apart", "proxied", "clip", "colours"])
def test_similarity_with_a_text_is_the_product_with_every_cell(kind: str) -> None:
    pipeline, frame = exact(kind), noise(56, 84)
    heat, _ = pipeline.similarity(frame, text="red")
    grid = pipeline.process(frame, OutputRequest(semantic_features=True)).semantic_features
    cosines = grid.values @ pipeline.embed_texts(["red"])[0]
    np.testing.assert_allclose(heat, np.clip(upsample_bilinear(cosines, frame.size), -1, 1), atol=1e-5)


def moved(kind: str, device: str) -> Encoders:
    encoders = copy.deepcopy(encoders_of(kind))
    encoders.spatial.to(device)
    language = encoders.language
    if language is not None:
        (language if isinstance(language, torch.nn.Module) else language.tower).to(device)
    return replace(encoders, device=device)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["lit", "apart", "proxied", "clip", "none"])
def test_frames_submitted_to_a_gpu_give_what_the_cpu_gives(kind: str) -> None:
    settings = Settings(short_side=56, max_tokens=64)
    pipeline = Pipeline(moved(kind, "cuda"), settings, engine="captured", precision="fp32")
    pipeline.warm_up((60, 90))
    ask(pipeline, "red", "blue")
    frames, reference = [noise(seed=seed) for seed in range(5)], exact(kind)
    tickets = [pipeline.submit(frame, ALL) for frame in frames]
    batch = pipeline.process_batch(frames, ALL)
    for frame, ticket, together in zip(frames, tickets, batch, strict=True):
        expected = reference.process(frame, ALL)
        for result in (ticket.result(), together):
            for name in ("features", "semantic_features"):
                one, two = getattr(result, name), getattr(expected, name)
                if two is not None:
                    assert (one.unit().values * two.unit().values).sum(-1).min() > 0.999
            assert result.embedding @ expected.embedding > 0.999
    assert not pipeline.warnings


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
    left, right = plain.see(frame), other.see(frame)
    for name in ("features", "semantic"):
        one, two = getattr(left, name), getattr(right, name)
        assert (one is None) == (two is None)
        if one is not None:
            assert one.space == two.space
            np.testing.assert_allclose(one.values, two.values, atol=2e-3)
    np.testing.assert_allclose(left.embedding, right.embedding, atol=1e-3)
