"""Calibration without labels: how probable names become that are certainly absent from a place."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from perception_contrast.core.errors import ModelError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.segmentation.calibration_files import COSINE_SCORES
from perception_contrast.segmentation.place_level import (
    LEAST_SHARE,
    MOST_FIRED,
    PlaceLevel,
    absent_names,
    level_at,
    place_level_path,
    write_place_level,
)
from perception_contrast.segmentation.searcher_factory import scores_of

if TYPE_CHECKING:
    from perception_contrast.pipeline.pipeline import Pipeline

LEAST_FRAMES = 8  # fewer say nothing about a place
_ANYTHING = 1e-3  # probability below which a region need not be found


class AbsentNames:
    """Asks frames of a place for names that are certainly absent."""

    def __init__(self, pipeline: Pipeline, names: Sequence[str] | None = None) -> None:
        """Encodes the names.

        Args:
            pipeline: With a language model.
            names: None for those of the package.

        Raises:
            QueryError: Without a language model.
        """
        given = absent_names() if names is None else tuple(names)
        self._pipeline = pipeline
        self._prepared = pipeline.prepare(Vocabulary().with_queries([Query(name) for name in given]))
        self._number = {name: index for index, name in enumerate(given)}
        self._by_frame: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []

    @property
    def frames(self) -> int:
        """Frames that were asked."""
        return len(self._by_frame)

    def add(self, frame: Frame) -> None:
        """Asks one frame for all names.

        Args:
            frame: Of the place.

        Raises:
            FrameError: For a frame without pixels.
        """
        settings = replace(
            self._pipeline.settings,
            detection_threshold=_ANYTHING,
            max_detections=10 * len(self._number),
            split_instances=False,
        )
        features = self._pipeline.extract_features(frame)
        found = self._pipeline.search(frame, features, self._prepared, settings)
        highest = np.zeros(len(self._number))
        for one in found.detections:
            index = self._number[one.label]
            highest[index] = max(highest[index], one.scores.probability)
        self._by_frame.append(highest)

    def level(self, place: str, most_fired: float = MOST_FIRED) -> PlaceLevel:
        """The level at which at most a share of the names is reported in any of the frames.

        Args:
            place: The name of the place.
            most_fired: The share.

        Returns:
            The level with the figures of its measurement.

        Raises:
            ModelError: For fewer than LEAST_FRAMES frames.
        """
        if self.frames < LEAST_FRAMES:
            raise ModelError(
                f"{self.frames} frames are too few to calibrate by; give at least {LEAST_FRAMES} of the place"
            )
        table = np.stack(self._by_frame)
        highest = table.max(axis=0)
        encoder = self._pipeline.query_encoder
        calibrated = self._pipeline.frame_search.threshold_of_texts(self._pipeline.settings)
        # A fitted threshold promises how much of what is reported is right, which absent names cannot.
        fitted = scores_of(encoder.language) == COSINE_SCORES
        detection = level_at(highest, calibrated, most_fired, 1.0 if fitted else LEAST_SHARE)
        facts = {
            "frames": float(self.frames),
            "absent_names": float(len(highest)),
            "own_threshold": calibrated,
            "fired_before": float((highest >= calibrated).mean()),
            "fired_after": float((highest >= detection).mean()),
            "fired_a_frame_before": float((table >= calibrated).mean()),
            "fired_a_frame_after": float((table >= detection).mean()),
        }
        return PlaceLevel(encoder.text_space, place, scores_of(encoder.language), detection, facts)


class SelfCalibration:
    """Calibrates a pipeline by its own stream, in a thread of its own. Any thread may call any method.

    A frame that is offered is used where the last one is done and an interval has passed. After enough
    frames the level is put in force and stored for the place.

    Attributes:
        place: Name of the place, "" for one whose level is not stored.
    """

    def __init__(self, pipeline: Pipeline, place: str, frames: int, interval: float = 2.0) -> None:
        """Waits for frames.

        Args:
            pipeline: With a language model.
            place: Name of the place.
            frames: How many to use.
            interval: Least seconds between two of them, so that they differ.

        Raises:
            QueryError: Without a language model.
            ModelError: For what is no name of a place.
        """
        self.place, self._pipeline = place, pipeline
        self._path = place_level_path(pipeline.query_encoder.language.space, place) if place else None
        self._wanted, self._interval = max(frames, LEAST_FRAMES), interval
        self._names: AbsentNames | None = None
        self._lock = threading.Lock()
        self._busy = self._closed = False
        self._last = -np.inf
        self._done: PlaceLevel | None = None
        self._failure = ""

    @property
    def status(self) -> str:
        """What is going on, in one line."""
        done, names = self._done, self._names
        if self._failure:
            return f"failed: {self._failure}"
        if done is None:
            waiting = self._waits_for()
            frames = f"{names.frames if names else 0} of {self._wanted} frames"
            return f"{frames}; waits for texts: {waiting}" if waiting else frames
        return (
            f"level {done.detection:.3f} for '{self.place or 'this place'}' "
            f"by {done.facts['frames']:.0f} frames; "
            f"{100 * done.facts['fired_before']:.0f} % of the absent names were reported before, "
            f"{100 * done.facts['fired_after']:.0f} % now"
        )

    def offer(self, frame: Frame) -> None:
        """Uses a frame, if one is wanted now; never waits for it.

        None is wanted while texts lack vectors: the level is stored, and must be that of all of them.

        Args:
            frame: Of the stream.
        """
        with self._lock:
            if self._busy or self._closed or self._done or self._failure:
                return
            if time.monotonic() - self._last < self._interval:
                return
            if self._waits_for():
                return
            self._busy, self._last = True, time.monotonic()
        threading.Thread(target=self._use, args=(frame,), name="self-calibration", daemon=True).start()

    def close(self) -> None:
        """Uses no frame any more."""
        with self._lock:
            self._closed = True

    def _waits_for(self) -> str:
        return self._pipeline.encoding_texts or "; ".join(self._pipeline.text_failures)

    def _use(self, frame: Frame) -> None:
        try:
            if self._names is None:
                self._names = AbsentNames(self._pipeline)
            self._names.add(frame)
            if self._names.frames >= self._wanted and not self._closed:
                level = self._names.level(self.place)
                self._pipeline.frame_search.searcher.place_level = level.detection
                self._done = level
                if self._path is not None:
                    write_place_level(self._path, level)
        except Exception as error:  # beside the frames, which must go on
            self._failure = " ".join(str(error).split()) or type(error).__name__
        finally:
            self._busy = False
