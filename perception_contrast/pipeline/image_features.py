"""Which features of a frame are requested, and the features that come back from the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.feature_grid import FeatureGrid


@dataclass(frozen=True)
class FeatureRequest:
    """Which features of a frame are copied to the host.

    Attributes:
        features: dense features of the image alone.
        semantic: dense features that are comparable with text.
        embedding: of the whole image.
        instance_cues: where the language model's encoder gives them.
        class_token: of the whole image, by the language model's encoder of images alone, where it gives one.
        pooled: of the whole image, by the encoder of ``features``.
    """

    features: bool = False
    semantic: bool = False
    embedding: bool = False
    instance_cues: bool = False
    class_token: bool = False
    pooled: bool = False

    def __or__(self, other: FeatureRequest) -> FeatureRequest:
        return FeatureRequest(
            self.features or other.features,
            self.semantic or other.semantic,
            self.embedding or other.embedding,
            self.instance_cues or other.instance_cues,
            self.class_token or other.class_token,
            self.pooled or other.pooled,
        )


@dataclass(frozen=True)
class ImageFeatures:
    """Features of one frame; what was not requested may be None.

    Attributes:
        features: of the image alone, not normalised.
        semantic: comparable with text, unit vectors.
        embedding: (c,) float32, unit; the language model's where there is one, of the whole image at that
            model's own input size (``models/image_input.py``) where it has one.
        best: (groups, h, w) float32, the cosine of every cell with each group of the query matrix.
        instance_cues: (h, w, 4) float32 as of ``AlignmentHead.grid``; None for an encoder without them.
        class_token: (c,) float32 of the whole image, as the encoder of images alone gives it.
        pooled: (c,) float32 of the whole image, as the encoder of ``features`` gives it.
    """

    features: FeatureGrid | None = None
    semantic: FeatureGrid | None = None
    embedding: NDArray[np.float32] | None = None
    best: NDArray[np.float32] | None = None
    instance_cues: NDArray[np.float32] | None = None
    class_token: NDArray[np.float32] | None = None
    pooled: NDArray[np.float32] | None = None

    def only(self, request: FeatureRequest) -> ImageFeatures:
        """Without features that only another frame of the batch requested."""
        return ImageFeatures(
            self.features if request.features else None,
            self.semantic if request.semantic else None,
            self.embedding if request.embedding else None,
            self.best,
            self.instance_cues if request.instance_cues else None,
            self.class_token if request.class_token else None,
            self.pooled if request.pooled else None,
        )


# Waits for the features of a frame, or raises the error that its computation raised.
PendingFeatures = Callable[[], ImageFeatures]
