"""Tells once when a stream of images is unlike those that a model was trained on."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_contrast.encoders.familiarity.training_images import TrainingImages

logger = logging.getLogger(__name__)

WEIGHT = 1 / 15  # of a new frame in the running mean
FIRST_FRAMES = 10  # before which nothing is said
CLEARED_BELOW = 0.9  # of the limit, so that a stream at the limit does not flicker
MOST_OF_A_FRAME = 2.0  # no single frame weighs more than one of this unlikeness
MAX_STREAMS = 64  # the one that was idle longest is forgotten

REMEDY = "show it an example of what you look for, take language_model siglip2-b16, calibrate, or adapt"


@dataclass(frozen=True)
class StreamFamiliarity:
    """How familiar a stream is.

    Attributes:
        unlikeness: Running mean over its frames of ``TrainingImages.unlikeness``; 1 is the limit.
        warning: A sentence with the remedy while the stream is beyond the limit, else "".
    """

    unlikeness: float
    warning: str = ""


@dataclass
class _Stream:
    frames: int = 0
    mean: float = 0.0
    unlike: bool = False
    was_told: bool = False


class StreamMonitor:
    """Running means of the unlikeness of streams. Any thread may call.

    Args:
        images: Statistics of the training images.
        model: Their model, for messages.
    """

    def __init__(self, images: TrainingImages, model: str) -> None:
        self._images, self._model = images, model
        self._streams: OrderedDict[str, _Stream] = OrderedDict()
        self._lock = threading.Lock()

    def update(self, stream: str, vector: NDArray[np.float32]) -> StreamFamiliarity:
        """Adds a frame; the first time that its stream is found unlike, that is logged as a warning.

        Args:
            stream: Which camera or file the frame is of.
            vector: (c,) class token of the frame.
        """
        value = min(float(self._images.unlikeness(vector[None])[0]), MOST_OF_A_FRAME)
        with self._lock:
            state = self._streams.setdefault(stream, _Stream())
            self._streams.move_to_end(stream)
            if len(self._streams) > MAX_STREAMS:
                self._streams.popitem(last=False)
            state.frames += 1
            # The first frames count alike, so that the mean does not lean on the very first.
            state.mean += max(WEIGHT, 1 / state.frames) * (value - state.mean)
            if state.frames >= FIRST_FRAMES:
                state.unlike = state.mean > (CLEARED_BELOW if state.unlike else 1.0)
            is_news = state.unlike and not state.was_told
            state.was_told |= state.unlike
            warning = self._warning(state.mean) if state.unlike else ""
        if is_news:
            logger.warning("%s%s", f"{stream}: " if stream else "", warning)
        return StreamFamiliarity(state.mean, warning)

    def _warning(self, unlikeness: float) -> str:
        return (
            f"the images are unlike those that {self._model} was trained on (distance {unlikeness:.1f}, "
            f"limit 1), so its answers may be wrong; {REMEDY}"
        )
