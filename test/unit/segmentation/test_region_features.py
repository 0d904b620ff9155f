"""Vectors of detections, against the mean of the cells that each mask covers."""

from __future__ import annotations

import numpy as np

from perception_contrast.core.detection import Detection, Scores
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.segmentation.regions.region_features import region_features

SIZE, CELLS, SIDE = (48, 64), (6, 8), 8


def grid(space: str, channels: int, dtype: type = np.float32) -> FeatureGrid:
    rng = np.random.default_rng(channels)
    # Lengths differ, so that a mean of vectors that were not brought to unit length would show.
    values = (rng.normal(size=(*CELLS, channels)) * rng.uniform(0.1, 9, (*CELLS, 1))).astype(dtype)
    return FeatureGrid(values, space.split("@")[0], space, GridToImage.of_resize(SIZE, CELLS), SIZE)


def found(box: tuple[int, int, int, int], mask: np.ndarray | None = None) -> Detection:
    x0, y0, x1, y1 = box
    return Detection(
        "mug", Scores(0.5, 0.5, 0.9), box, np.ones((y1 - y0, x1 - x0), bool) if mask is None else mask
    )


def test_a_vector_is_the_mean_of_unit_vectors_by_the_area_covered() -> None:
    semantic, spatial = grid("words@1", 5), grid("dino@2", 3, np.float16)
    half = np.zeros((8, 16), bool)
    half[:, :12] = True
    things = [found((8, 16, 24, 24)), found((8, 16, 24, 24), half)]
    result = region_features(things, semantic, spatial)
    assert result.detections == tuple(things) and len(result.vectors) == 2
    assert (result.semantic_model, result.semantic_space) == ("words", "words@1")
    assert (result.spatial_model, result.spatial_space) == ("dino", "dino@2")
    for which, source in (("semantic", semantic), ("spatial", spatial)):
        left, right = (np.asarray(source.unit().values[2, column], np.float32) for column in (1, 2))
        for vectors, share in ((result.vectors[0], 1.0), (result.vectors[1], 0.5)):
            expected = left + share * right
            np.testing.assert_allclose(
                getattr(vectors, which), expected / np.linalg.norm(expected), atol=1e-5
            )


def test_what_is_not_known_is_none_and_no_detection_needs_no_grid() -> None:
    result = region_features([found((0, 0, 8, 8))], None, grid("dino@2", 3))
    assert result.vectors[0].semantic is None and result.vectors[0].spatial is not None
    assert result.semantic_space == "" and result.spatial_space == "dino@2"
    nothing = region_features([], grid("words@1", 5), None)
    assert nothing.vectors == () == nothing.detections and nothing.semantic_space == "words@1"
