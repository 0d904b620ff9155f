"""FrameEyes: a rendered frame with what the pipeline sees in it, or with the true masks in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.detection import Detection, Scores
from perception_contrast.core.frame import Frame
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.segmentation.regions.region_features import region_features
from perception_contrast_sim.objects.props import SceneObject
from perception_contrast_sim.render.scene_builder import STRUCTURE
from perception_contrast_training.evaluation.mapping.loop import LoopFrame

LEAST_PIXELS = 60  # of a true mask


class FrameEyes:
    """Looks at frames with one pipeline, whose queries are set.

    Args:
        pipeline: Encodes the frames and finds things.
        objects: What the values of instance images are.
    """

    def __init__(self, pipeline: Pipeline, objects: Mapping[int, SceneObject]) -> None:
        self._pipeline, self._objects = pipeline, objects

    def look(self, seen: LoopFrame) -> tuple[MapFrame, MapFrame]:
        """The frame with our detections, and with the true masks and names."""
        given = seen.frame
        assert given.image is not None
        frame = Frame(given.image, stamp=given.stamp, depth=given.depth, camera=given.camera)
        request = OutputRequest(features=True, semantic_features=True, detections=True)
        result = self._pipeline.process(frame, request)
        labels = frozenset(query.label for query in result.vocabulary.queries)
        full = replace(given, semantic=result.semantic_features, labels=labels)
        return (
            _with(full, result.detections or (), result),
            _with(full, true_detections(seen.instances, self._objects), result),
        )


def _with(frame: MapFrame, detections: Sequence[Detection], result: FrameResult) -> MapFrame:
    found = region_features(detections, result.semantic_features, result.features)
    return replace(
        frame,
        detections=found.detections,
        vectors=found.vectors,
        semantic_space=found.semantic_space,
        spatial_space=found.spatial_space,
    )


def true_detections(
    instances: NDArray[np.int32], objects: Mapping[int, SceneObject]
) -> tuple[Detection, ...]:
    """A sure detection of each thing that an instance image shows, by its true name."""
    found = []
    for number in np.unique(instances):
        if number < len(STRUCTURE) or int(number) not in objects:
            continue
        mask = instances == number
        if np.count_nonzero(mask) < LEAST_PIXELS:
            continue
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        x0, y0, x1, y1 = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        name = objects[int(number)].category
        found.append(Detection(name, Scores(1.0, 1.0, 1.0), (x0, y0, x1, y1), mask[y0:y1, x0:x1].copy()))
    return tuple(found)
