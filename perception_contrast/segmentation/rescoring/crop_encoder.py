"""Encodes crops of regions, enlarged, to vectors that are comparable with texts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.core.arrays import FloatArray, FloatBox, Size
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.encoders.rescoring_head import SIDE, RescoringHead, pooled
from perception_contrast.engines.encoder_session import EncoderSession, rescoring_session
from perception_contrast.engines.engine_search import EngineSearch
from perception_contrast.preprocessing.region_crops import (
    View,
    coverage,
    enlarged,
    form_of,
    steady,
    view_of,
)
from perception_contrast.segmentation.regions.region import Region


@dataclass(frozen=True)
class RegionCrop:
    """A region to be encoded from an enlarged crop.

    Attributes:
        box: pixels of the frame.
        mask: (h, w) which part of the box is the region's, at any resolution.
        share: of the frame's pixels.
    """

    box: FloatBox
    mask: NDArray[np.bool_]
    share: float

    @classmethod
    def of_region(cls, region: Region, map_size: Size, image_shape: tuple[int, ...]) -> RegionCrop:
        """Of a region in a map of ``map_size`` (height, width) over an image of shape (H, W, 3)."""
        down, across = image_shape[0] / map_size[0], image_shape[1] / map_size[1]
        x0, y0, x1, y1 = region.box
        return cls((x0 * across, y0 * down, x1 * across, y1 * down), region.mask, region.share)

    @property
    def view(self) -> View:
        """The part of the frame that is enlarged for it; regions near each other share one."""
        return steady(view_of(self.box))


class CropEncoder:
    """An image encoder behind an engine, and the rescoring head on its features. Any thread may call.

    Args:
        served: runs the encoder.
        head: on its features.

    Attributes:
        served: the encoder's graph.
        scale: of cosines with texts, for logits.
        bias: of cosines with texts, for logits.
    """

    def __init__(self, served: EncoderSession, head: RescoringHead) -> None:
        self.served, self._head = served, head
        self.scale, self.bias = float(head.log_scale.exp()), float(head.bias)
        self._cells = SIDE // served.graph.patch
        self._lock = threading.Lock()
        graph = served.graph
        self._mean, self._std = (
            torch.tensor(v, device=served.device).view(1, 3, 1, 1) for v in (graph.mean, graph.std)
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why engines were given up while serving."""
        return self.served.warnings

    def prepare(self, progress: Callable[[str], None] | None = None, *, wait: bool = True) -> None:
        """Chooses the engine.

        Args:
            progress: called with a line for each step.
            wait: False lets the search choose where the engine is "auto", while torch serves.

        Raises:
            ModelError: an engine that was requested by name cannot serve.
        """
        (self.served.prepare if wait else self.served.begin)((SIDE, SIDE), progress)

    def vectors(self, image: NDArray[np.uint8], crops: Sequence[RegionCrop]) -> FloatArray:
        """Encodes crops of one image; crops that share a view share its forward pass.

        Args:
            image: (H, W, 3) uint8 RGB.
            crops: n crops.

        Returns:
            (n, dim) float32 unit rows.
        """
        if not crops:
            return np.zeros((0, self._head.config.dim), np.float32)
        rows: dict[View, int] = {}
        view_rows = [rows.setdefault(crop.view, len(rows)) for crop in crops]
        views = np.stack([enlarged(image, view, SIDE) for view in rows])
        covered = np.stack([coverage(one.mask, one.box, one.view, self._cells) for one in crops])
        shapes = np.array([form_of(crop.box, crop.share) for crop in crops], np.float32)
        device = self.served.device
        with self._lock, self.served.search.serving(), torch.inference_mode():
            self.served.adopt()
            rgb = torch.from_numpy(views).to(device).permute(0, 3, 1, 2).float() / 255
            tokens = self.served.run((rgb - self._mean) / self._std)["layers"]
            row = torch.tensor(view_rows, device=device)
            masks, shape = (torch.from_numpy(array).to(device) for array in (covered, shapes))
            vectors: Tensor = self._head(pooled(tokens[row], masks, rgb[row], shape))
            return np.asarray(vectors.float().cpu().numpy(), np.float32)


def build_crop_encoder(
    encoders: Encoders, engine: str, precision: str, search: EngineSearch
) -> CropEncoder | None:
    """The crop encoder of a language model that has a rescoring head; None for others.

    Args:
        encoders: the loaded models.
        engine: as ``choose_engine`` takes it.
        precision: as ``choose_engine`` takes it.
        search: where engines are chosen while these serve.
    """
    served = rescoring_session(encoders, engine, precision, search)
    language = encoders.language
    if served is None or language is None or language.rescoring is None:
        return None
    return CropEncoder(served, language.rescoring.head)
