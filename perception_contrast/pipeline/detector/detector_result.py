"""What a Detector found in one image: detections, masks, features, and ways to draw and pass them on."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perception_contrast.core.arrays import BoolMask, FloatArray, LabelMask, RgbImage
from perception_contrast.core.detection import Detection
from perception_contrast.core.errors import ModelError, PerceptionError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.encoders.familiarity.stream_monitor import StreamFamiliarity
from perception_contrast.images.files import save_image
from perception_contrast.images.run_length import encode_mask
from perception_contrast.pipeline.frame_result import FrameResult
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.segmentation.masks.instance_image import instance_image
from perception_contrast.segmentation.regions.region_features import RegionFeatures, region_features
from perception_contrast.visualization.overlay import overlay
from perception_contrast.visualization.pca import PcaRenderer

if TYPE_CHECKING:
    import supervision

# Computes more of a frame than was computed when it was searched.
Compute = Callable[[OutputRequest], FrameResult]


@dataclass(frozen=True, eq=False, repr=False)
class DetectorResult:
    """One image and what was found in it.

    Features and embeddings are computed when they are first read.

    Attributes:
        frame: The image with its stamp and frame id.
        vocabulary: The queries of the search.
        detections: What was found, the most probable first.
        label_map: (H, W) uint16, the id (``vocabulary.ids``) of the label at each pixel; 65535 is none.
        timings: Milliseconds by stage.
        compute: Computes more outputs of this frame.
        familiarity: How similar the images so far are to the model's training images; None if unknown.
    """

    frame: Frame
    vocabulary: Vocabulary
    detections: tuple[Detection, ...]
    label_map: LabelMask
    timings: dict[str, float]
    compute: Compute
    familiarity: StreamFamiliarity | None = None

    def __len__(self) -> int:
        return len(self.detections)

    def __repr__(self) -> str:
        height, width = self.frame.size
        found = ", ".join(f"{one.label} {one.scores.probability:.2f}" for one in self.detections)
        return f"DetectorResult({width}x{height}: {found or 'nothing'})"

    def with_detections(self, detections: tuple[Detection, ...]) -> DetectorResult:
        """Replaces the detections.

        Args:
            detections: Other detections of the same image, such as those with track ids.

        Returns:
            A result with these detections.
        """
        return replace(self, detections=detections)

    @property
    def image(self) -> RgbImage:
        """(H, W, 3) uint8 RGB."""
        return self.frame.image

    @property
    def boxes(self) -> FloatArray:
        """(n, 4) float32: x_min, y_min, x_max, y_max in pixels; x_max - x_min is the width."""
        return np.array([one.box for one in self.detections], np.float32).reshape(-1, 4)

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each detection."""
        return tuple(one.label for one in self.detections)

    @property
    def scores(self) -> FloatArray:
        """(n,) float32, the probability of each detection."""
        return np.array([one.scores.probability for one in self.detections], np.float32)

    @cached_property
    def masks(self) -> BoolMask:
        """(n, H, W) bool, the mask of each detection in the whole image."""
        masks = np.zeros((len(self.detections), *self.frame.size), np.bool_)
        for mask, found in zip(masks, self.detections, strict=True):
            x0, y0, x1, y1 = found.box
            mask[y0:y1, x0:x1] = found.mask
        return masks

    @property
    def features(self) -> FeatureGrid:
        """Dense features (h, w, c) of the image, by the spatial model.

        Raises:
            ModelError: The model gives no dense features of the image alone.
        """
        grid = self._features.features
        if grid is None:
            raise ModelError("the model gives no dense features of the image alone; see semantic_features")
        return grid

    @property
    def semantic_features(self) -> FeatureGrid:
        """Dense features (h, w, c) that are comparable with words.

        Raises:
            ModelError: No language model is loaded.
        """
        grid = self._features.semantic_features
        if grid is None:
            raise ModelError("no language model is loaded, so no features are comparable with words")
        return grid

    @cached_property
    def instances(self) -> LabelMask:
        """(H, W) uint16, the id of each pixel's detection as of ``instance_value``; 65535 is none."""
        return instance_image(self.detections, self.frame.size)

    @cached_property
    def region_features(self) -> RegionFeatures:
        """The detections with their vectors, comparable with words and of the image alone."""
        grids = self._features
        return region_features(self.detections, grids.semantic_features, grids.features)

    @property
    def embedding(self) -> FloatArray:
        """(c,) float32 unit vector of the whole image; of the language model if there is one.

        Raises:
            ModelError: The model gives no embedding of whole images.
        """
        vector = self._whole.embedding
        if vector is None:
            raise ModelError("the model gives no embedding of whole images")
        return vector

    @property
    def embedding_space(self) -> str:
        """Space of ``embedding``; only vectors of one space can be compared."""
        return self._whole.embedding_space

    @cached_property
    def _features(self) -> FrameResult:
        return self.compute(OutputRequest(features=True, semantic_features=True))

    @cached_property
    def _whole(self) -> FrameResult:
        # Apart from the grids, since models of images and words need a pass of their own for it.
        return self.compute(OutputRequest(embedding=True))

    def plot(self, path: str | Path | None = None, *, scores: bool = False) -> RgbImage:
        """Draws the masks and labels of the dozen most probable detections over the image.

        Args:
            path: A PNG or JPEG file to write, if given.
            scores: Write the probability behind each label.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        return _saved(overlay(self.frame.image, self.detections, self.vocabulary.ids, scores=scores), path)

    def plot_features(self, path: str | Path | None = None) -> RgbImage:
        """Draws the first three principal components of ``features`` as red, green and blue.

        Args:
            path: A PNG or JPEG file to write, if given.

        Returns:
            (h, w, 3) uint8 RGB with the image's proportions, at most 640 pixels wide.
        """
        return _saved(PcaRenderer()(self.features), path)

    def to_dict(self) -> dict[str, Any]:
        """Converts the result to values that JSON can hold.

        Returns:
            "stamp", "frame_id", "height", "width" and "detections". Masks are COCO run lengths of the whole
            image.
        """
        return {
            "stamp": self.frame.stamp,
            "frame_id": self.frame.frame_id,
            "height": self.frame.size[0],
            "width": self.frame.size[1],
            "detections": [self._entry(one) for one in self.detections],
        }

    def _entry(self, found: Detection) -> dict[str, Any]:
        scores = found.scores
        return {
            "label": found.label,
            "score": round(scores.probability, 6),
            "cosine": round(scores.cosine, 6),
            "relevancy": round(scores.relevancy, 6),
            "box": list(found.box),
            "track_id": found.track_id,
            "mask": encode_mask(found.mask, self.frame.size, found.box[:2]),
        }

    def to_supervision(self) -> supervision.Detections:
        """Converts the detections to the library supervision.

        Returns:
            ``class_id`` is the index of the label among the queries, from 0; ``data["class_name"]`` is the
            label. ``tracker_id`` is set for results of a video.

        Raises:
            PerceptionError: The library supervision is not installed.
        """
        try:
            sv = importlib.import_module("supervision")
        except ImportError as error:
            raise PerceptionError(
                f"supervision cannot be imported ({error}); install it with `pip install supervision`"
            ) from error
        order = {query.label: number for number, query in enumerate(self.vocabulary.queries)}
        tracks = [one.track_id for one in self.detections]
        return sv.Detections(
            xyxy=self.boxes,
            mask=self.masks,
            confidence=self.scores,
            class_id=np.array([order[label] for label in self.labels], int),
            tracker_id=np.array(tracks, int) if tracks and all(tracks) else None,
            data={"class_name": np.array(self.labels, dtype=str)},
        )


def _saved(image: RgbImage, path: str | Path | None) -> RgbImage:
    if path is not None:
        save_image(Path(path).expanduser(), image)
    return image
