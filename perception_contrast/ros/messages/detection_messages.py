"""Detections, labels, model identity and vectors as messages."""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from perception_contrast_msgs.msg import Embedding, RegionFeature, RegionFeatures
from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox3D,
    Detection2D,
    Detection2DArray,
    Detection3D,
    Detection3DArray,
    LabelInfo,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    VisionClass,
    VisionInfo,
)

from perception_contrast.core.detection import Detection, frame_ids
from perception_contrast.core.vocabulary import UNLABELLED, Vocabulary
from perception_contrast.mapping.geometry.boxes import Box3D
from perception_contrast.segmentation.regions import region_features

UNLABELLED_NAME = "unlabelled"


def _detection(found: Detection, identity: str, header: Header) -> Detection2D:
    x0, y0, x1, y1 = found.box
    message = Detection2D(header=header, id=identity)
    # Pixel centres lie at integers, so pixels x0 .. x1 - 1 span [x0 - 0.5, x1 - 0.5].
    message.bbox.center.position.x = (x0 + x1 - 1) / 2
    message.bbox.center.position.y = (y0 + y1 - 1) / 2
    message.bbox.size_x, message.bbox.size_y = float(x1 - x0), float(y1 - y0)
    message.results = [_hypothesis(found)]
    return message


def _hypothesis(found: Detection) -> ObjectHypothesisWithPose:
    hypothesis = ObjectHypothesis(class_id=found.label, score=float(found.scores.probability))
    return ObjectHypothesisWithPose(hypothesis=hypothesis)


def detections_message(found: Sequence[Detection], header: Header) -> Detection2DArray:
    """Boxes in source pixels; class_id is the label, score the probability, id as of ``frame_ids``.

    Pixel centres lie at integer coordinates: a box over pixel columns 10 to 19 has its centre at
    x = 14.5 and size_x = 10.
    """
    pairs = zip(found, frame_ids(found), strict=True)
    return Detection2DArray(
        header=header, detections=[_detection(one, identity, header) for one, identity in pairs]
    )


def box_message(box: Box3D) -> BoundingBox3D:
    """A box in the frame that it is in."""
    message = BoundingBox3D()
    position, size = message.center.position, message.size
    position.x, position.y, position.z = box.center.tolist()
    size.x, size.y, size.z = box.size.tolist()
    orientation = message.center.orientation
    orientation.x, orientation.y, orientation.z, orientation.w = box.quaternion.tolist()
    return message


def detections_3d_message(
    found: Sequence[Detection], boxes: Sequence[Box3D | None], header: Header
) -> Detection3DArray:
    """The detections that have a box, with the ids of ``detections_message``; the pose is the box's centre.

    Args:
        found: Of one image.
        boxes: One for each, in the frame of ``header``; None for a detection that is left out.
        header: Of the image.
    """
    message = Detection3DArray(header=header)
    for one, identity, box in zip(found, frame_ids(found), boxes, strict=True):
        if box is None:
            continue
        hypothesis = _hypothesis(one)
        each = Detection3D(header=header, id=identity, bbox=box_message(box), results=[hypothesis])
        hypothesis.pose.pose = each.bbox.center
        message.detections.append(each)
    return message


def region_features_message(found: region_features.RegionFeatures, header: Header) -> RegionFeatures:
    """The vectors of each detection, in the order and with the ids of ``detections_message``."""
    message = RegionFeatures(
        header=header,
        semantic_model=found.semantic_model,
        semantic_space=found.semantic_space,
        spatial_model=found.spatial_model,
        spatial_space=found.spatial_space,
        tracked=any(one.track_id for one in found.detections),
    )
    for one, identity, vectors in zip(
        found.detections, frame_ids(found.detections), found.vectors, strict=True
    ):
        region = RegionFeature(id=identity, label=one.label, score=float(one.scores.probability))
        region.semantic, region.spatial = _floats(vectors.semantic), _floats(vectors.spatial)
        message.regions.append(region)
    return message


def label_info_message(vocabulary: Vocabulary, header: Header, threshold: float = 0.0) -> LabelInfo:
    """Which id of the mask image is which label: those in force, and 65535 for "unlabelled"."""
    names = [(vocabulary.ids[label], label) for label in vocabulary.labels]
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
    message.data = _floats(vector)
    return message


def _floats(vector: NDArray[np.floating] | None) -> array.array[float]:
    """A vector as float32 in the form that a message's setter takes; empty for None."""
    data = array.array("f")
    if vector is not None:
        data.frombytes(np.ascontiguousarray(vector, dtype=np.float32).tobytes())
    return data
