"""Encodes crops of regions, enlarged, to vectors that are comparable with texts."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.core.arrays import FloatArray, FloatBox, Size
from perception_contrast.core.running_median import RunningMedian
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
from perception_contrast.segmentation.rescoring.crop_batches import batch_sizes
from perception_contrast.segmentation.rescoring.rescoring_limits import RescoringCounts, RescoringLimits
from perception_contrast.segmentation.rescoring.view_memory import (
    RememberedView,
    StreamMemory,
    ViewMemory,
)

# Passes over which the time of a view is known.
PASSES = 15
# Of a frame's time, that later frames do without after a frame took too much.
LONGEST_DEBT = 4.0
TOLERANCE = 1e-6


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


@dataclass(frozen=True)
class EncodedCrops:
    """The crops of one image that were encoded or remembered.

    Attributes:
        indices: of these crops among those given, rising.
        vectors: (n, dim) float32 unit rows, one for each of them.
        counts: what became of the views.
    """

    indices: list[int]
    vectors: FloatArray
    counts: RescoringCounts


@dataclass(frozen=True)
class _EncodedView:
    """tokens: (g, g, c) on the encoder's device. remembered: with the vectors of regions seen before."""

    tokens: Tensor
    remembered: RememberedView


@dataclass(frozen=True)
class _Outline:
    """A crop that the head has to name: its index, its view, and its region's coverage and form."""

    index: int
    view: View
    coverage: FloatArray
    form: FloatArray


class CropEncoder:
    """An image encoder behind an engine, and the rescoring head on its features. Any thread may call.

    Views of a stream that look as they did when they were encoded are not encoded again: the head reads the
    features of then. Nor does the head run again for a region that has nearly the outline that it had.

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
        self._memory, self._ms_per_view = ViewMemory(), RunningMedian(PASSES)
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
        """(n, dim) float32 unit rows of all n crops, as ``encode`` without limits gives them."""
        return self.encode(image, crops, RescoringLimits(len(crops))).vectors

    def encode(
        self, image: NDArray[np.uint8], crops: Sequence[RegionCrop], limits: RescoringLimits, stream: str = ""
    ) -> EncodedCrops:
        """Encodes crops of one image, as far as the limits allow; crops that share a view share its pass.

        Views that the last frame of the stream left out come first, then the others as they are given.

        Args:
            image: (H, W, 3) uint8 RGB.
            crops: those that matter most first.
            limits: of this frame.
            stream: the camera, whose frames follow each other; "" for an image by itself.
        """
        with self._lock, self.served.search.serving(), torch.inference_mode():
            if self.served.adopt():
                # Another engine's features differ by rounding: one frame's are of one engine.
                self._memory.forget()
            memory = self._memory.of(stream)
            known = self._recalled(memory, image, {one.view for one in crops})
            unknown = memory.order(dict.fromkeys(one.view for one in crops if one.view not in known))
            fresh = self._encoded(memory, image, unknown, limits)
            memory.left_out = frozenset(unknown[len(fresh) :])
            counts = RescoringCounts(len(fresh), len(known), len(unknown) - len(fresh))
            seen = known | fresh
            indices = [index for index, one in enumerate(crops) if one.view in seen]
            return EncodedCrops(
                indices, self._named(image, [crops[index] for index in indices], seen), counts
            )

    def _recalled(
        self, memory: StreamMemory, image: NDArray[np.uint8], views: Iterable[View]
    ) -> dict[View, _EncodedView]:
        """The views that look as they did."""
        recalled = {view: memory.recall(image, view) for view in views}
        return {
            view: _EncodedView(known.tokens, known) for view, known in recalled.items() if known is not None
        }

    def _encoded(
        self, memory: StreamMemory, image: NDArray[np.uint8], views: Sequence[View], limits: RescoringLimits
    ) -> dict[View, _EncodedView]:
        """The first of the views, as many as the limits allow."""
        count = min(len(views), limits.views, self._affordable(memory, limits.milliseconds))
        began, encoded = time.perf_counter(), {}
        waiting = list(views[:count])
        for size in batch_sizes(count, self.served.device):
            batch, waiting = waiting[:size], waiting[size:]
            pixels = [enlarged(image, view, SIDE) for view in batch]
            for view, tokens in zip(batch, self._tokens(pixels, size), strict=True):
                encoded[view] = _EncodedView(tokens, memory.store(image, view, tokens))
        if count:
            if self.served.device.startswith("cuda"):
                torch.cuda.current_stream(self.served.device).synchronize()
            took = 1e3 * (time.perf_counter() - began)
            self._ms_per_view.add(took / count)
            memory.spare_ms -= took
        return encoded

    def _affordable(self, memory: StreamMemory, milliseconds: float) -> int:
        """How many views fit in the time of a frame and what earlier frames left over."""
        if math.isinf(milliseconds):
            memory.spare_ms = 0.0
            return sys.maxsize
        if milliseconds <= 0.0:
            return 0
        each = self._ms_per_view.value
        if each is None:
            memory.spare_ms = milliseconds
            return 1
        # What one frame took too much, by a hiccup of the machine say, costs the next few frames at most.
        spare = min(max(memory.spare_ms, -LONGEST_DEBT * milliseconds), each)
        memory.spare_ms = spare + milliseconds
        return max(int(memory.spare_ms / each + TOLERANCE), 0)

    def _tokens(self, pixels: Sequence[NDArray[np.uint8]], size: int) -> Tensor:
        """(n, g, g, c) features of n enlarged views, encoded as a batch of ``size``, which is n or more."""
        batch = np.zeros((size, SIDE, SIDE, 3), np.uint8)
        batch[: len(pixels)] = pixels
        rgb = self._rgb(batch)
        return self.served.run((rgb - self._mean) / self._std)["layers"][: len(pixels)]

    def _rgb(self, pixels: NDArray[np.uint8]) -> Tensor:
        """(n, 3, SIDE, SIDE) in [0, 1] of (n, SIDE, SIDE, 3)."""
        return torch.from_numpy(pixels).to(self.served.device).permute(0, 3, 1, 2).float() / 255

    def _named(
        self, image: NDArray[np.uint8], crops: Sequence[RegionCrop], seen: Mapping[View, _EncodedView]
    ) -> FloatArray:
        """(n, dim) float32 unit rows of crops whose views were encoded."""
        vectors = np.zeros((len(crops), self._head.config.dim), np.float32)
        new: list[_Outline] = []
        for index, one in enumerate(crops):
            covered = coverage(one.mask, one.box, one.view, self._cells)
            form = np.array(form_of(one.box, one.share), np.float32)
            known = seen[one.view].remembered.vector_of(covered, form)
            if known is None:
                new.append(_Outline(index, one.view, covered, form))
            else:
                vectors[index] = known
        if new:
            for outline, vector in zip(new, self._run_head(image, new, seen), strict=True):
                vectors[outline.index] = vector
                remembered = seen[outline.view].remembered
                remembered.keep_vector(outline.coverage, outline.form, vector)
        return vectors

    def _run_head(
        self, image: NDArray[np.uint8], outlines: Sequence[_Outline], seen: Mapping[View, _EncodedView]
    ) -> FloatArray:
        """(n, dim) float32 unit rows of n outlines."""
        views = list(dict.fromkeys(one.view for one in outlines))
        row = {view: number for number, view in enumerate(views)}
        device = self.served.device
        rows = torch.tensor([row[one.view] for one in outlines], device=device)
        tokens = torch.stack([seen[view].tokens.float() for view in views])
        rgb = self._rgb(np.stack([enlarged(image, view, SIDE) for view in views]))
        masks = torch.from_numpy(np.stack([one.coverage for one in outlines])).to(device)
        forms = torch.from_numpy(np.stack([one.form for one in outlines])).to(device)
        vectors: Tensor = self._head(pooled(tokens[rows], masks, rgb[rows], forms))
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
