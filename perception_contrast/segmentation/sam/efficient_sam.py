"""Masks by the ONNX exports of EfficientSAM.

The interface is that of the authors' own exports (``export_to_onnx.py``, ``onnx_models.py``).
"""

from __future__ import annotations

from typing import Any

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
    box_corners,
    image_size,
    resize_antialiased,
    resized_size,
)


class EfficientSam:
    """A ``MaskProposer`` of one file, or of an encoder and a decoder. They resize and normalise themselves.

    Of one file whose export fixes the number of prompts to one, each box costs a whole pass.
    """

    def __init__(self, decoder: OnnxModel, encoder: OnnxModel | None = None) -> None:
        """Checks that the files fit.

        Args:
            decoder: or the one file.
            encoder: None where ``decoder`` is the one file.

        Raises:
            ModelError: the file cannot take a box, or lacks its outputs.
        """
        self._decoder, self._encoder = decoder, encoder
        decoder.require_outputs("output_masks", "iou_predictions")
        _, prompts, points, _ = decoder.inputs["batched_point_coords"]
        if isinstance(points, int) and points != len(BOX_LABELS):
            raise ModelError(
                f"{decoder.path} takes {points} point(s) a prompt, and a box is two; "
                "export it with batched_point_coords dynamic in axis 2"
            )
        if isinstance(prompts, int) and prompts != 1:
            raise ModelError(f"{decoder.path} takes {prompts} prompts a run; export it with 1 or any number")
        self._one_by_one = isinstance(prompts, int)

    def propose(self, image: NDArray[np.uint8], boxes: FloatArray) -> ProposedMasks:
        """As ``MaskProposer.propose``."""
        source = image_size(image)
        # The files make a square of 1024 of any image, so a larger one would only cost.
        resized = resized_size(source) if max(source) > LONG_SIDE else source
        fixed = self._image_inputs(resize_antialiased(image, resized), resized)
        corners = box_corners(boxes, source, resized)
        masks: list[ScoredMask] = []
        step = 1 if self._one_by_one else max(1, len(corners))
        for first in range(0, len(corners), step):
            batch = corners[None, first : first + step]
            labels = np.broadcast_to(np.array(BOX_LABELS, np.float32), batch.shape[:3])
            feed = {
                **fixed,
                "batched_point_coords": batch,
                "batched_point_labels": np.ascontiguousarray(labels),
            }
            logits, quality = self._decoder.run(feed, "output_masks", "iou_predictions")
            masks += best_masks(self._decoder, logits, quality, resized, source)
        return stack_masks(masks, source)

    def _image_inputs(self, pixels: NDArray[np.uint8], resized: Size) -> dict[str, NDArray[Any]]:
        """The inputs of the decoder that are the same for all boxes."""
        images = {"batched_images": normalised(pixels, (0, 0, 0), (1, 1, 1))}
        if self._encoder is None:
            return {**images}
        embeddings = self._encoder.run(images, self._encoder.outputs[0])[0]
        return {"image_embeddings": embeddings, "orig_im_size": np.array(resized, np.int64)}
