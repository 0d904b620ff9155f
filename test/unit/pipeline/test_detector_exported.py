"""A detector of one exported ONNX file: features and search by examples, and no words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_models import encoders_of, small_clip, small_dino, small_lit

from perception_contrast.core.errors import QueryError, SpaceError
from perception_contrast.core.vocabulary import Exemplar, Query
from perception_contrast.encoders.encoder_graph import graph_of
from perception_contrast.engines.export.onnx_export import export_onnx
from perception_contrast.pipeline.detector.base import Detector
from perception_contrast.pipeline.detector.load import load
from perception_contrast.pipeline.detector.pipeline_detector import PipelineDetector
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings

SIZE = (112, 168)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, dino = tmp_path_factory.mktemp("exported"), small_dino()
    graphs = {
        "dino": graph_of(dino),
        "lit": graph_of(small_lit(dino).image_encoder),
        "clip": graph_of(small_clip()),
    }
    paths = {name: folder / f"{name}.onnx" for name in graphs}
    for name, graph in graphs.items():
        export_onnx(graph, paths[name], SIZE if name != "clip" else (64, 96), licence="Apache-2.0")
    return paths


def textured(seed: int) -> np.ndarray:
    """Grey, with a patch of noise of its own in the middle."""
    image = np.full((*SIZE, 3), 128, np.uint8)
    image[28:84, 56:112] = np.random.default_rng(seed).integers(0, 256, (56, 56, 3), dtype=np.uint8)
    return image


@pytest.mark.parametrize("kind", ["dino", "lit", "clip"])
def test_features_and_embeddings(files: dict[str, Path], kind: str) -> None:
    result = load(files[kind], device="cpu")(textured(0))
    assert result.detections == () and result.features.image_size == SIZE
    assert np.linalg.norm(result.embedding) == pytest.approx(1, abs=1e-3)
    if kind != "dino":
        assert result.semantic_features.space == result.embedding_space
    assert result.plot_features().shape == (*SIZE, 3)


def test_it_finds_what_a_detector_of_the_same_model_finds(files: dict[str, Path]) -> None:
    exported = load(str(files["dino"]), device="cpu")
    settings = PipelineSettings(short_side=SIZE[0], split_instances=False)
    whole: Detector = PipelineDetector(Pipeline(encoders_of("none"), settings), "cpu")
    found = []
    for detector in (exported, whole):
        exemplar = detector.exemplar(textured(1), box=(56, 28, 112, 84))
        result = detector(textured(1), [Query("it", exemplars=(exemplar,))], threshold=0.01)
        found.append([one.box for one in result.detections])
        heat = detector.similarity(textured(1), point=(84, 56))
        assert heat.shape == SIZE and heat.max() <= 1
    assert found[0] == found[1] and found[0]
    assert exported.models["spatial"].space == whole.models["spatial"].space


def test_words_are_refused_with_what_it_can_do(files: dict[str, Path]) -> None:
    detector, image = load(files["lit"], device="cpu"), textured(0)
    for ask in (
        lambda: detector(image, ["mug"]),
        lambda: detector(image, [], distractors=["wall"]),
        lambda: detector.embed_texts(["mug"]),
        lambda: detector.classify(image, ["kitchen"]),
        lambda: detector.similarity(image, text="mug"),
    ):
        with pytest.raises(QueryError, match=r"knows no words.*features.*exemplar.*by its name"):
            ask()
    with pytest.raises(QueryError, match="point"):
        detector.similarity(image)


def test_exemplars_of_another_space_are_refused(files: dict[str, Path]) -> None:
    exemplar = Exemplar(np.eye(1, 24, dtype=np.float32)[0], "other@1")
    with pytest.raises(SpaceError, match="other@1"):
        load(files["dino"], device="cpu")(textured(0), [Query("it", exemplars=(exemplar,))])


def test_batches_and_videos(files: dict[str, Path]) -> None:
    with load(files["dino"], device="cpu") as detector:
        exemplar = detector.exemplar(textured(1), box=(56, 28, 112, 84))
        query = Query("it", exemplars=(exemplar,))
        assert len(detector.batch([textured(1)] * 3, [query], batch_size=2)) == 3
        ids = [[one.track_id for one in r.detections] for r in detector.video([textured(1)] * 3, [query])]
        assert ids[0] == ids[1] == ids[2]
