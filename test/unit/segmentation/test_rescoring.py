"""Crop rescoring: painted grids, and a crop encoder whose vectors are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from perception_contrast.core.errors import ModelError, SpaceError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.frame import Frame
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.core.vocabulary import Exemplar, Query, Vocabulary
from perception_contrast.encoders.block_encoder import BlockEncoder
from perception_contrast.encoders.encoder_graph import graph_of
from perception_contrast.encoders.household_lit import RESCORING_FILE, load_household_lit
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.encoders.rescoring_head import (
    RescoringConfig,
    RescoringHead,
    load_rescoring_head,
    save_rescoring_head,
)
from perception_contrast.engines.encoder_session import EncoderSession
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.pipeline.stage_timer import StageTimer
from perception_contrast.segmentation.calibration import FEATURES, Calibration
from perception_contrast.segmentation.calibration_files import StoredCalibration
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.rescoring.crop_encoder import CropEncoder, EncodedCrops, RegionCrop
from perception_contrast.segmentation.rescoring.rescoring_calibration import (
    HIGHEST_LOGIT,
    RescoringCalibration,
    rescoring_features,
)
from perception_contrast.segmentation.rescoring.rescoring_limits import RescoringCounts, RescoringLimits
from perception_contrast.segmentation.scoring.sigmoid_scorer import SigmoidScorer
from perception_contrast.segmentation.search_result import SearchResult
from perception_contrast.segmentation.search_settings import SearchSettings
from perception_contrast.segmentation.searcher_factory import assemble_searcher
from perception_contrast.text.sentence_encoder import load_minilm

A, B, NOTHING = np.eye(4, dtype=np.float32)[:3]
ROWS = {"a": A, "b": B}
BY_MEAN = Calibration(tuple(float(f == "mean") for f in FEATURES), seed=0.5, low=0.0, detection=0.5)
# The crop's logit alone decides.
BY_CROP = RescoringCalibration((0.0, 1.0, 0.0, 0.0), 0.0, 0.5)
SIZE = (60, 100)


class FixedCropEncoder:
    """Gives one vector for crops on the left and one for those on the right; keeps the crops."""

    scale, bias = 8.0, -4.0

    def __init__(self, left: np.ndarray, right: np.ndarray) -> None:
        self.left, self.right = left, right
        self.crops: list[RegionCrop] = []

    def encode(
        self, image: np.ndarray, crops: Sequence[RegionCrop], limits: RescoringLimits, stream: str = ""
    ) -> EncodedCrops:
        seen = list(crops)[: limits.views]
        self.crops += seen
        rows = [self.left if one.box[2] <= image.shape[1] / 2 else self.right for one in seen]
        counts = RescoringCounts(len(seen), 0, len(crops) - len(seen))
        return EncodedCrops(list(range(len(seen))), np.stack(rows), counts)


def grid() -> FeatureGrid:
    """An "a" on the left, an "a" on the right."""
    values = np.tile(NOTHING, (6, 10, 1))
    values[1:3, 1:3] = values[3:5, 7:9] = A
    return FeatureGrid(values, "w", "w@1", GridToImage.of_resize(SIZE, (6, 10)), SIZE, normalized=True)


def found(
    crop_encoder: FixedCropEncoder,
    *queries: Query,
    views: int = 32,
    calibration: RescoringCalibration = BY_CROP,
) -> SearchResult:
    words = tuple(np.array([ROWS[t] for t in q.texts()], np.float32).reshape(-1, 4) for q in queries)
    searcher = assemble_searcher(
        SigmoidScorer((4.0, 4.0), (-2.0, -2.0)),
        BY_MEAN,
        text_space="w@1",
        exemplar_space="w@1",
        neutral=np.stack([NOTHING]),
        crop_encoder=crop_encoder,
        rescoring_calibration=calibration,
    )
    prepared = PreparedQueries(Vocabulary().with_queries(queries), words)
    settings = SearchSettings(refine=False, min_region_share=0.0, rescoring_views=views)
    return searcher.find(np.zeros((*SIZE, 3), np.uint8), grid(), None, prepared, settings)


def test_what_turns_out_to_be_something_else_is_not_reported() -> None:
    encoder = FixedCropEncoder(A, B)
    (one,) = found(encoder, Query("a")).detections
    assert one.box[2] <= 50
    assert one.scores.probability == pytest.approx(1 / (1 + np.exp(-4.0)), abs=1e-6)
    assert len(found(encoder, Query("a"), views=0).detections) == 2


def test_regions_are_handed_over_where_they_are() -> None:
    encoder = FixedCropEncoder(A, B)
    found(encoder, Query("a"))
    assert len(encoder.crops) == 2
    for region_crop, box in zip(
        sorted(encoder.crops, key=lambda s: s.box), ((10, 10, 30, 30), (70, 30, 90, 50)), strict=True
    ):
        assert np.abs(np.array(region_crop.box) - box).max() <= 3.0
        assert region_crop.share == pytest.approx(400 / 6000, rel=0.2)


def test_the_surest_are_seen_when_there_are_too_many() -> None:
    encoder = FixedCropEncoder(B, B)
    (left,) = found(encoder, Query("a"), views=1).detections
    assert len(encoder.crops) == 1 and left.scores.probability > 0.5


def test_an_example_is_not_doubted_by_words() -> None:
    exemplar = Exemplar(A, "w@1")
    assert len(found(FixedCropEncoder(B, B), Query("a", exemplars=(exemplar,))).detections) == 2


def test_other_queries_do_not_change_rescoring() -> None:
    alone = found(FixedCropEncoder(A, A), Query("a"))
    beside = found(FixedCropEncoder(A, A), Query("b"), Query("a"))
    assert [d.scores.probability for d in beside.detections if d.label == "a"] == pytest.approx(
        [d.scores.probability for d in alone.detections]
    )


def test_own_thresholds_hold_for_rescored_regions_too() -> None:
    assert len(found(FixedCropEncoder(A, B), Query("a", threshold=0.01)).detections) == 2
    strict = replace(BY_CROP, detection=0.99)
    assert found(FixedCropEncoder(A, B), Query("a"), calibration=strict).detections == ()


def test_what_no_crop_can_lift_is_neither_encoded_nor_reported() -> None:
    # A crop's log odds are 4 here, and could be 12.
    doubtful = RescoringCalibration((0.0, 0.1, 0.0, 0.0), 0.0, 0.5)
    encoder = FixedCropEncoder(A, A)
    assert len(found(encoder, Query("a"), calibration=doubtful).detections) == 2 == len(encoder.crops)
    encoder = FixedCropEncoder(A, A)
    unlikely = replace(doubtful, offset=-1.3)
    assert found(encoder, Query("a"), calibration=unlikely).detections == () and not encoder.crops
    # Whoever asks for less gets the crop.
    assert len(found(encoder, Query("a", threshold=0.2), calibration=unlikely).detections) == 2
    assert len(encoder.crops) == 2


@pytest.mark.parametrize("weights", [(0.9, 0.1, 0.03, -0.4), (0.5, 0.1, 0.3, 0.0), (0.5, -0.2, -0.1, 0.1)])
def test_no_crop_gives_more_than_the_highest_probability(weights: tuple[float, ...]) -> None:
    calibration, rng = RescoringCalibration(weights, 0.2), np.random.default_rng(0)
    for probability, share in ((0.02, 0.001), (0.4, 0.1), (0.9, 0.3)):
        highest = calibration.highest_probability(probability, share)
        for crop in rng.uniform(-HIGHEST_LOGIT, HIGHEST_LOGIT, 200):
            margin = rng.uniform(0.0, HIGHEST_LOGIT - crop)
            features = rescoring_features(probability, float(crop), float(margin), share)
            assert calibration.probability(features) <= highest + 1e-9


def test_a_calibration_comes_back_as_it_was_and_others_are_refused() -> None:
    assert RescoringCalibration.loaded(BY_CROP.dumped()) == BY_CROP
    for text in (
        "",
        "[]",
        '{"weights": [1], "offset": 0, "detection": 0.5}',
        BY_CROP.dumped().replace("1.0", "NaN"),
    ):
        with pytest.raises(ModelError, match="calibration of a zoom head"):
            RescoringCalibration.loaded(text)


def test_a_stage_within_a_stage_is_counted_once() -> None:
    clock = StageTimer()
    with clock.stage("outer"), clock.stage("inner"):
        torch.ones(1500, 1500) @ torch.ones(1500, 1500)
    assert clock.timings["outer"] < clock.timings["inner"]


# The packaged head.


@pytest.fixture(scope="module")
def encoders():
    return load_encoders("dinov2-s14", "household-lit", offline=True)


@pytest.fixture(scope="module")
def crop_encoder(encoders) -> CropEncoder:
    rescoring = encoders.language.rescoring
    blocks = graph_of(BlockEncoder(encoders.spatial, rescoring.layers))
    return CropEncoder(EncoderSession(blocks, "cpu"), rescoring.head)


def crops() -> list[RegionCrop]:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, (380, 280), (5, 2))
    return [
        RegionCrop((float(x), float(y), float(x + 80), float(y + 60)), rng.random((15, 20)) > 0.3, 0.01)
        for x, y in corners
    ]


def image() -> np.ndarray:
    from skimage import data

    return np.asarray(data.coffee())[:400, :560]


def test_a_region_is_seen_alike_alone_and_among_others(crop_encoder: CropEncoder) -> None:
    together = crop_encoder.vectors(image(), crops())
    alone = np.concatenate([crop_encoder.vectors(image(), [one]) for one in crops()])
    assert np.abs(np.linalg.norm(together, axis=1) - 1).max() < 1e-4
    # bfloat16 products of another batch size.
    assert (together * alone).sum(1).min() > 0.995
    assert crop_encoder.vectors(image(), []).shape == (0, together.shape[1])


@pytest.mark.parametrize("level", [0, 255])
def test_a_blank_image_and_an_empty_mask_stay_finite(crop_encoder: CropEncoder, level: int) -> None:
    blank = np.full((40, 30, 3), level, np.uint8)
    nothing = RegionCrop((0.0, 0.0, 30.0, 40.0), np.zeros((10, 8), bool), 0.0)
    assert np.isfinite(crop_encoder.vectors(blank, [nothing])).all()


def test_rescoring_is_timed_as_zoom_and_can_be_switched_off(encoders) -> None:
    pipeline = Pipeline(encoders, PipelineSettings(short_side=224, detection_threshold=0.02))
    pipeline.set_queries([Query("cup"), Query("table")])
    seen = pipeline.process(Frame(image()), OutputRequest(detections=True))
    assert "zoom" in seen.timings and "postprocess" in seen.timings
    pipeline.configure(replace(pipeline.settings, max_rescored=0))
    assert "zoom" not in pipeline.process(Frame(image()), OutputRequest(detections=True)).timings


def test_the_threshold_that_is_told_is_the_one_that_decides(encoders) -> None:
    pipeline = Pipeline(encoders, PipelineSettings(short_side=224))
    rescorer = pipeline.frame_search.searcher.rescorer
    assert rescorer is not None
    rescorer.calibration = replace(rescorer.calibration, detection=0.07)
    first = pipeline.frame_search.searcher.calibration.detection
    shown = pipeline.frame_search.searcher.exemplar_calibration.detection
    pipeline.set_queries([Query("cup"), Query("table")])
    told = pipeline.frame_search.detection_threshold
    assert told(pipeline.settings, pipeline.vocabulary) == 0.07
    assert told(replace(pipeline.settings, detection_threshold=0.4), pipeline.vocabulary) == 0.4
    assert told(replace(pipeline.settings, max_rescored=0), pipeline.vocabulary) == first
    pipeline.set_queries([])
    vocabulary, _ = pipeline.add_exemplar("cup", Frame(image()), box=(200, 100, 300, 200))
    assert told(pipeline.settings, vocabulary) == shown


def test_a_calibration_of_ones_own_is_what_is_served(encoders) -> None:
    stored = StoredCalibration(encoders.language.space, "platt", Calibration())
    assert Pipeline(encoders).frame_search.searcher.rescorer is not None
    assert Pipeline(encoders, calibration=stored).frame_search.searcher.rescorer is None


def test_a_head_of_other_towers_is_refused(encoders, tmp_path: Path) -> None:
    head, facts, _ = load_rescoring_head(RESCORING_FILE)
    kept = {key: text for key, text in facts.items() if key not in ("format", "config")}
    path = tmp_path / "zoom.safetensors"
    sentences = load_minilm(offline=True)
    for key in ("word_space", "image_space"):
        save_rescoring_head(head, path, {**kept, key: "another@000000000000"})
        with pytest.raises(SpaceError, match="rescoring head"):
            load_household_lit(encoders.spatial, sentences, rescoring=path)
    save_rescoring_head(head, path, {key: text for key, text in kept.items() if key != "layers"})
    with pytest.raises(ModelError, match="blocks"):
        load_household_lit(encoders.spatial, sentences, rescoring=path)


def test_a_damaged_file_is_refused_and_a_whole_one_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "zoom.safetensors"
    head = RescoringHead(RescoringConfig(channels=12, width=16, cell=4, dim=8, blocks=1))
    save_rescoring_head(head, path, {"word_space": "w@1"})
    again, facts, _ = load_rescoring_head(path)
    assert facts["word_space"] == "w@1"
    for name, value in head.state_dict().items():
        assert torch.equal(again.state_dict()[name], value.half().float())
    whole = path.read_bytes()
    for damaged in (whole[:-10], b"", whole.replace(b'"zoom"', b'"else"')):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match="rescoring head"):
            load_rescoring_head(path)
        assert path.read_bytes() == damaged
