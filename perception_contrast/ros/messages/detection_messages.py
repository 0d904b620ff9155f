"""Detections, labels, model identity and vectors as messages."""

from __future__ import annotations

import array
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from perception_contrast_msgs.msg import Embedding
from std_msgs.msg import Header
from vision_msgs.msg import (
    Detection2D,
    Detection2DArray,
    LabelInfo,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    VisionClass,
    VisionInfo,
)

from perception_contrast.core.detection import Detection
from perception_contrast.core.vocabulary import UNLABELLED, Vocabulary

UNLABELLED_NAME = "unlabelled"


def _detection(found: Detection, header: Header) -> Detection2D:
    x0, y0, x1, y1 = found.box
    message = Detection2D(header=header, id=found.track_id)
    # Pixel centres lie at integers, so pixels x0 .. x1 - 1 span [x0 - 0.5, x1 - 0.5].
    message.bbox.center.position.x = (x0 + x1 - 1) / 2
    message.bbox.center.position.y = (y0 + y1 - 1) / 2
    message.bbox.size_x, message.bbox.size_y = float(x1 - x0), float(y1 - y0)
    hypothesis = ObjectHypothesis(class_id=found.label, score=float(found.scores.probability))
    message.results = [ObjectHypothesisWithPose(hypothesis=hypothesis)]
    return message


def detections_message(found: Iterable[Detection], header: Header) -> Detection2DArray:
    """Boxes in source pixels; class_id is the label, score the probability, id the track.

    Pixel centres lie at integer coordinates: a box over pixel columns 10 to 19 has its centre at
    x = 14.5 and size_x = 10.
    """
    return Detection2DArray(header=header, detections=[_detection(one, header) for one in found])


def label_info_message(vocabulary: Vocabulary, header: Header, threshold: float = 0.0) -> LabelInfo:
    """Which id of the mask image is which label: those in force, and 65535 for "unlabelled"."""
    names = [(vocabulary.ids[query.label], query.label) for query in vocabulary.queries]
    names.append((UNLABELLED, UNLABELLED_NAME))
    classes = [VisionClass(class_id=number, class_name=name) for number, name in names]
    return LabelInfo(header=header, class_map=classes, threshold=float(threshold))


def vision_info_message(model: str, space: str, version: int, header: Header) -> VisionInfo:
    """Which model made the results: method is the model, database_location ``space:<space>``.

    database_version is the vocabulary's version; the labels themselves are in LabelInfo.
    """
    return VisionInfo(
        header=header, method=model, database_location=f"space:{space}", database_version=version
    )


def embedding_message(vector: NDArray[np.floating], model: str, space: str, header: Header) -> Embedding:
    """A unit vector (c,) and the space that it lives in."""
    message = Embedding(header=header, model=model, space=space, normalized=True)
    data = array.array("f")
    data.frombytes(np.ascontiguousarray(vector, dtype=np.float32).tobytes())
    message.data = data
    return message
