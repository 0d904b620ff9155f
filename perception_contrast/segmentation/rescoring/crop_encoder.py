"""Regions of a frame seen again by the tower, enlarged: vectors that are comparable with words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.core.arrays import FloatArray, FloatBox
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.encoders.rescoring_head import SIDE, RescoringHead, pooled
from perception_contrast.engines.encoder_session import EncoderSession, rescoring_session
from perception_contrast.preprocessing.region_crops import (
    View,
    coverage,
    enlarged,
    form_of,
    steady,
    view_of,
)


@dataclass(frozen=True)
class RegionCrop:
    """A region to be seen again. box: pixels of the frame. mask: what of the box is the region's, at any
    resolution. share: of the frame."""

    box: FloatBox
    mask: NDArray[np.bool_]
    share: float

    @property
    def view(self) -> View:
        return steady(view_of(self.box))


class CropEncoder:
    """A tower behind an engine, and the head that reads its views. Any thread may call.

    scale, bias: of cosines with words, for logits.
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
        """Engines that were given up while serving, and why."""
        return self.served.warnings

    def prepare(self, progress: Callable[[str], None] | None = None) -> None:
        """Makes the engine now. Raises ModelError where one that was asked for by name cannot serve."""
        self.served.prepare((SIDE, SIDE), progress)

    def close(self) -> None:
        """Ends what goes on in the background."""
        self.served.close()

    def vectors(self, image: NDArray[np.uint8], crops: Sequence[RegionCrop]) -> FloatArray:
        """(n, dim) float32 unit rows. image: (H, W, 3) uint8 RGB. Crops that share a view share its pass."""
        if not crops:
            return np.zeros((0, self._head.config.dim), np.float32)
        places: dict[View, int] = {}
        owners = [places.setdefault(crop.view, len(places)) for crop in crops]
        views = np.stack([enlarged(image, view, SIDE) for view in places])
        covered = np.stack([coverage(one.mask, one.box, one.view, self._cells) for one in crops])
        forms = np.array([form_of(crop.box, crop.share) for crop in crops], np.float32)
        device = self.served.device
        with self._lock, torch.inference_mode():
            rgb = torch.from_numpy(views).to(device).permute(0, 3, 1, 2).float() / 255
            tokens = self.served.run((rgb - self._mean) / self._std)["layers"]
            seen = torch.tensor(owners, device=device)
            masks, form = (torch.from_numpy(array).to(device) for array in (covered, forms))
            found: Tensor = self._head(pooled(tokens[seen], masks, rgb[seen], form))
            return np.asarray(found.float().cpu().numpy(), np.float32)


def crop_encoder_of(encoders: Encoders, engine: str, precision: str) -> CropEncoder | None:
    """For models that see regions enlarged; None for others. engine, precision: as ``choose_engine``."""
    served = rescoring_session(encoders, engine, precision)
    language = encoders.language
    if served is None or language is None or language.rescoring is None:
        return None
    return CropEncoder(served, language.rescoring.head)
