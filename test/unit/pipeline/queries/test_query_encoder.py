"""Texts and exemplars to vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from frame_checks import ALL_OUTPUTS, ask, noise
from small_models import encoders_of, pipeline_of

from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import Exemplar, Query
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings


@pytest.mark.parametrize("kind", ["lit", "apart", "clip", "none"])
def test_a_shown_thing_lives_in_the_space_that_is_announced(kind: str) -> None:
    pipeline = pipeline_of(kind)
    ask(pipeline, "red")
    vocabulary, exemplar = pipeline.add_exemplar("key", noise(), point=(30, 30))
    assert exemplar.space == pipeline.query_encoder.exemplar_space and np.linalg.norm(
        exemplar.vector
    ) == pytest.approx(1, abs=1e-3)
    assert vocabulary is pipeline.vocabulary and vocabulary.queries[-1].exemplars == (exemplar,)
    bare = Exemplar(exemplar.vector, exemplar.space)  # as it comes back over ROS
    pipeline.set_queries([Query("key", exemplars=(bare,)), Query("key again", exemplars=(exemplar, bare))])
    result = pipeline.process(noise(), ALL_OUTPUTS)
    assert {one.space for one in result.detections} <= {pipeline.query_encoder.exemplar_space}


def test_an_exemplar_is_of_the_image_encoder_whatever_knows_the_words() -> None:
    frame, shown = noise(56, 84), []
    for kind in ("lit", "none"):
        pipeline = Pipeline(encoders_of(kind), PipelineSettings(short_side=56), precision="fp32")
        shown.append(pipeline.add_exemplar("thing", frame, box=(14, 14, 56, 42))[1])
    assert shown[0].space == shown[1].space
    np.testing.assert_allclose(shown[0].vector, shown[1].vector, atol=1e-4)


def test_without_a_language_model_words_are_refused() -> None:
    pipeline = pipeline_of("none")
    assert (pipeline.query_encoder.text_model, pipeline.query_encoder.text_space) == ("", "")
    shown = pipeline.add_exemplar("mug", noise())[0].queries[0]
    for attempt in (
        lambda: pipeline.set_queries([Query("mug")]),
        lambda: pipeline.set_queries([], ["wall"]),
        lambda: pipeline.set_queries([replace(shown, negatives=("wall",))]),
        lambda: pipeline.query_encoder.embed_texts(["mug"]),
        lambda: pipeline.similarity(noise(), text="mug"),
    ):
        with pytest.raises(QueryError, match="language model"):
            attempt()
    assert pipeline.models["semantic"] == pipeline.models["spatial"]


@pytest.mark.parametrize("kind", ["lit", "clip"])
def test_embedded_texts_are_unit_rows(kind: str) -> None:
    pipeline = pipeline_of(kind)
    vectors = pipeline.query_encoder.embed_texts(["a mug", "☕", "x" * 2000])
    assert vectors.dtype == np.float32 and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert pipeline.query_encoder.text_space == pipeline.models["semantic"][1]
    for texts in ([], ["mug", " "]):
        with pytest.raises(QueryError):
            pipeline.query_encoder.embed_texts(texts)
