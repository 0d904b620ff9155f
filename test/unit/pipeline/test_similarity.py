"""Maps of a frame: cosines with a text or a point, probabilities of a label."""

from __future__ import annotations

import numpy as np
import pytest
from frame_checks import BLUE, exact, noise, painted
from small_models import pipeline_of

from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import Query
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.segmentation.upsampling.bilinear import upsample_bilinear


def test_similarity_with_a_text_is_highest_on_its_colour() -> None:
    pipeline = pipeline_of("colours", short_side=378, max_tokens=2048)
    frame = painted((480, 640), {(100, 100, 300, 300): BLUE})
    found = pipeline.similarity(frame, text="blue")
    heat = found.values
    assert (
        heat.shape == (480, 640)
        and heat.dtype == np.float32
        and found.space == pipeline.query_encoder.text_space
    )
    assert heat[120:280, 120:280].min() > 0.95 and heat[:80].max() < 0.3
    assert heat.min() >= -1 and heat.max() <= 1


def test_a_score_map_is_soft_and_high_where_the_label_is() -> None:
    pipeline = pipeline_of("colours", short_side=378, max_tokens=2048)
    pipeline.set_queries([Query("sky", ("blue",)), Query("green")], ["grey"])
    frame = painted((480, 640), {(100, 100, 300, 300): BLUE})
    found = pipeline.similarity(frame, label="sky")
    scores = found.values
    assert (
        scores.shape == (480, 640)
        and scores.dtype == np.float32
        and found.space == pipeline.query_encoder.text_space
    )
    assert 0 <= scores.min() < 0.5 < scores[150:250, 150:250].min() <= scores.max() <= 1
    assert scores[:60].max() < 0.5
    with pytest.raises(QueryError, match="'sea' is not in the vocabulary; its labels are: sky, green"):
        pipeline.similarity(frame, label="sea")


def test_similarity_with_a_point_is_the_cosine_of_its_cell() -> None:
    pipeline, frame = pipeline_of("none"), noise(56, 84)  # cells of 14 pixels
    found = pipeline.similarity(frame, point=(20.0, 50.0))
    heat = found.values
    grid = pipeline.process(frame, OutputRequest(features=True)).features
    assert found.space == grid.space and heat[50, 20] > 0.5
    values = grid.values / np.linalg.norm(grid.values, axis=-1, keepdims=True)
    cosines = values @ values[50 // 14, 20 // 14]
    # Centres of cells lie between two pixels, which share the cell's neighbours evenly.
    centres = heat[6::14, 6::14] / 2 + heat[7::14, 7::14] / 2
    assert np.corrcoef(centres.ravel(), cosines.ravel())[0, 1] > 0.99
    assert np.unravel_index(heat.argmax(), heat.shape)[0] // 14 == 50 // 14


@pytest.mark.parametrize("where", [{}, {"point": (1, 1), "text": "red"}, {"text": "red", "label": "red"}])
def test_similarity_takes_a_point_a_text_or_a_label(where: dict) -> None:
    with pytest.raises(QueryError, match="either"):
        pipeline_of("colours").similarity(noise(), **where)


@pytest.mark.parametrize("kind", ["lit", "apart", "proxied", "clip", "colours"])
def test_similarity_with_a_text_is_the_product_with_every_cell(kind: str) -> None:
    pipeline, frame = exact(kind), noise(56, 84)
    heat = pipeline.similarity(frame, text="red").values
    grid = pipeline.process(frame, OutputRequest(semantic_features=True)).semantic_features
    cosines = grid.values @ pipeline.query_encoder.embed_texts(["red"])[0]
    np.testing.assert_allclose(heat, np.clip(upsample_bilinear(cosines, frame.size), -1, 1), atol=1e-5)
