"""Frames, queries and comparisons of results that the tests of a pipeline share."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from small_models import encoders_of

from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings

ALL_OUTPUTS = OutputRequest(**{field.name: True for field in fields(OutputRequest)})
KINDS = ("lit", "apart", "proxied", "clip", "none", "colours")
RED, GREEN, BLUE = (230, 20, 20), (20, 230, 20), (20, 20, 230)


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
    if pipeline.query_encoder.text_model:
        pipeline.set_queries([Query(label) for label in labels])
    else:
        for label in labels:
            pipeline.add_exemplar(label, noise(seed=9))


def exact(kind: str) -> Pipeline:
    """In float32 and without tracks, so that a frame gives the same each time."""
    settings = PipelineSettings(short_side=56, max_tokens=64, track=False)
    pipeline = Pipeline(encoders_of(kind), settings, precision="fp32")
    ask(pipeline, "red", "blue")
    return pipeline


def assert_same(left: Any, right: Any) -> None:
    """Two results of one frame, up to the rounding of a batch."""
    for name in ("features", "semantic_features"):
        one, two = getattr(left, name), getattr(right, name)
        assert (one is None) == (two is None), name
        if one is not None:
            assert (one.space, one.grid_to_image) == (two.space, two.grid_to_image)
            np.testing.assert_allclose(one.values, two.values, atol=1e-4)
    for name in ("embedding", "masks", "overlay", "instances"):
        one, two = getattr(left, name), getattr(right, name)
        assert (one is None) == (two is None), name
        if one is not None:
            np.testing.assert_allclose(one.astype(float), two.astype(float), atol=1e-4, err_msg=name)
    assert (left.detections is None) == (right.detections is None)
    for one, two in zip(left.detections or (), right.detections or (), strict=True):
        assert (one.label, one.box) == (two.label, two.box)
        np.testing.assert_allclose(one.embedding, two.embedding, atol=1e-4)
    assert (left.region_features is None) == (right.region_features is None)
    if left.region_features is not None:
        for one, two in zip(left.region_features.vectors, right.region_features.vectors, strict=True):
            for name in ("semantic", "spatial"):
                assert (getattr(one, name) is None) == (getattr(two, name) is None)
                if getattr(one, name) is not None:
                    np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-4)
