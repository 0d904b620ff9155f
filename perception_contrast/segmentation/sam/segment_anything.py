"""Masks by the ONNX exports of segment-anything and of MobileSAM, which took over its interface.

The interface is that of the authors' own exports (``scripts/export_onnx_model.py``,
``segment_anything/utils/onnx.py``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray, Size
from perception_contrast.core.errors import ModelError
from perception_contrast.preprocessing.to_array import normalised
from perception_contrast.segmentation.sam.base import ProposedMasks
from perception_contrast.segmentation.sam.onnx_model import OnnxModel
from perception_contrast.segmentation.sam.sam_postprocessing import ScoredMask, best_masks, stack_masks
from perception_contrast.segmentation.sam.sam_preprocessing import (
    BOX_LABELS,
    LONG_SIDE,
    MEAN,
    STD,
    box_corners,
    image_size,
    pad_to_square,
    resize_antialiased,
    resized_size,
)

MASK_INPUT = (1, 1, 256, 256)  # an earlier mask as a prompt, a quarter of the square; never given here


class SegmentAnything:
    """A ``MaskProposer`` of two files; the decoder takes one box a run."""

    def __init__(self, encoder: OnnxModel, decoder: OnnxModel) -> None:
        """Checks that the files fit.

        Args:
            encoder: one input, (1, 3, 1024, 1024) float32 that is normalised and padded here, or (H, W, 3)
                where the file does both itself (samexporter's ``--use-preprocess``).
            decoder: of masks and predicted IoUs.

        Raises:
            ModelError: the encoder takes another image size, or the decoder lacks its outputs.
        """
        self._encoder, self._decoder = encoder, decoder
        self._input, shape = next(iter(encoder.inputs.items()))
        self._raw = len(shape) == 3
        decoder.require_outputs("masks", "iou_predictions")
        if not self._raw and [side for side in shape[2:] if isinstance(side, int) and side != LONG_SIDE]:
            raise ModelError(
                f"{encoder.path} takes images of {shape[3]}x{shape[2]}; known are those of "
                f"{LONG_SIDE}x{LONG_SIDE}: export it so"
            )

    def propose(self, image: NDArray[np.uint8], boxes: FloatArray) -> ProposedMasks:
        """As ``MaskProposer.propose``."""
        source = image_size(image)
        resized = resized_size(source)
        fixed = {
            "image_embeddings": self._embeddings(image, resized),
            "mask_input": np.zeros(MASK_INPUT, np.float32),
            "has_mask_input": np.zeros(1, np.float32),
            "orig_im_size": np.array(source, np.float32),
            "point_labels": np.array([BOX_LABELS], np.float32),
        }
        masks: list[ScoredMask] = []
        for corners in box_corners(boxes, source, resized):
            feed = {**fixed, "point_coords": corners[None]}
            logits, quality = self._decoder.run(feed, "masks", "iou_predictions")
            masks += best_masks(self._decoder, logits[None], quality[None], source, source)
        return stack_masks(masks, source)

    def _embeddings(self, image: NDArray[np.uint8], resized: Size) -> FloatArray:
        pixels = resize_antialiased(image, resized)
        values = pixels.astype(np.float32) if self._raw else pad_to_square(normalised(pixels, MEAN, STD))
        return self._encoder.run({self._input: values}, self._encoder.outputs[0])[0]
