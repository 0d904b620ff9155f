"""Deadline mode: holds ``target_rate`` by what frames may cost, and says what it gives up for it."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from perception_contrast.pipeline.frame_rate_control import (
    LEVELS,
    FrameCost,
    FrameLimits,
    FrameRateControl,
)
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline_settings import AS_LONG_AS_ENCODING, PipelineSettings
from perception_contrast.ros.camera.output_publishers import requests_anything
from perception_contrast.ros.monitoring.health import DeadlineReport

if TYPE_CHECKING:
    from perception_contrast.core.arrays import Size
    from perception_contrast.pipeline.pipeline import Pipeline
    from perception_contrast.ros.camera.camera_stream import CameraStream

# Stages of a frame whose time follows the size of the network's input.
ENCODING_STAGES = ("encode", "language", "arrival")
LEAST_SIDE, LEAST_TOKENS = 56, 16
# Share of a frame's time from which the next smaller image may soon be needed.
NEAR = 0.7
FRESH = 10.0  # seconds after the last frame for which its report is true
# Sizes of images that are remembered as expected; expecting one again costs little.
MOST_EXPECTED = 64


class Deadline:
    """Fits the frames of all cameras to a rate. ``configure`` and ``report`` are for any thread.

    Args:
        cameras: of the node, by name.
    """

    def __init__(self, cameras: Mapping[str, CameraStream]) -> None:
        self._cameras = cameras
        self._target, self._limits_hz = 0.0, dict.fromkeys(cameras, math.inf)
        self._control: FrameRateControl | None = None
        self._expected: set[tuple[object, ...]] = set()
        self._drawn: Counter[str] = Counter()
        self._report: DeadlineReport | None = None
        self._reported_at = -math.inf

    @property
    def report(self) -> DeadlineReport | None:
        """How it stands; None while it is off, and while no frames come."""
        fresh = time.monotonic() - self._reported_at <= FRESH
        return self._report if self._target and fresh else None

    def configure(self, target_hz: float, max_rates: Mapping[str, float]) -> None:
        """Sets the rate from the next batch on.

        Args:
            target_hz: frames a second of each camera; 0 switches deadline mode off.
            max_rates: camera to the most frames a second that are processed of it, 0 for no limit.
        """
        self._limits_hz = {name: rate or math.inf for name, rate in max_rates.items()}
        if target_hz != self._target:
            self._target, self._report = target_hz, None
            self._control = FrameRateControl() if target_hz else None

    def settings(self, pipeline: Pipeline, sizes: Sequence[Size]) -> PipelineSettings:
        """The settings of a pipeline, cut to what the next batch may cost.

        An engine for the next smaller image is looked for once it may soon be needed.

        Args:
            pipeline: that processes the batch.
            sizes: (height, width) of its images.
        """
        settings, control = pipeline.settings, self._control
        if control is None:
            return settings
        soon = control.level + 1 if control.load > NEAR else control.level
        for level in range(control.level, min(soon + 1, len(LEVELS))):
            self._expect(pipeline, sizes, _scaled(settings, LEVELS[level].scale))
        return _limited(settings, control.limits, control.encoding_ms)

    def _expect(self, pipeline: Pipeline, sizes: Sequence[Size], settings: PipelineSettings) -> None:
        for size in set(sizes):
            key = (id(pipeline), size, settings.short_side, settings.max_tokens)
            if key not in self._expected:
                if len(self._expected) >= MOST_EXPECTED:
                    self._expected.clear()
                self._expected.add(key)
                pipeline.expect_size(size, settings)

    def thinned(self, camera: str, request: OutputRequest) -> OutputRequest:
        """A frame's request, without drawings where it is not their turn and something else is asked for."""
        control = self._control  # which another thread may take away
        if control is None or not (request.overlay or request.pca):
            return request
        self._drawn[camera] += 1
        plain = replace(request, overlay=False, pca=False)
        if self._drawn[camera] % control.limits.draw_every == 0 or not requests_anything(plain):
            return request
        return plain

    def add(self, seconds: float, timings: Sequence[Mapping[str, float]], settings: PipelineSettings) -> None:
        """Takes in what a batch did cost.

        Args:
            seconds: from its start to its last publication.
            timings: milliseconds by stage of each frame; those of what was done at once are of all.
            settings: of the pipeline, without limits.
        """
        control = self._control
        if control is None or not timings:
            return
        count = len(timings)
        encoding = max(sum(one.get(stage, 0.0) for stage in ENCODING_STAGES) for one in timings)
        each = [sum(one.get(stage, 0.0) for one in timings) for stage in ("zoom", "draw")]
        control.add(
            FrameCost(1e3 * seconds / count, *(ms / count for ms in (encoding, *each))), self._demand()
        )
        self._report, self._reported_at = self._reported(control, settings), time.monotonic()

    def _demand(self) -> float:
        """Frames a second that have to be processed, of all cameras that deliver."""
        hz = 0.0
        for name, camera in self._cameras.items():
            if camera.has_subscribers:
                arriving = camera.statistics.in_hz or math.inf
                hz += min(self._target, arriving, self._limits_hz[name])
        return hz or self._target

    def _reported(self, control: FrameRateControl, settings: PipelineSettings) -> DeadlineReport:
        limits = control.limits
        limited = _limited(settings, limits, control.encoding_ms)
        given_up = []
        if settings.max_rescored and limited.rescoring_ms < _usual(settings, control.encoding_ms):
            given_up.append(f"rescoring beyond {limited.rescoring_ms:.0f} ms a frame")
        if limits.scale < 1.0:
            given_up.append(f"images of {settings.short_side}, now {limited.short_side}")
        if limits.draw_every > 1:
            given_up.append(f"overlay and pca of all frames but one in {limits.draw_every}")
        return DeadlineReport(
            self._target,
            control.load,
            control.holds,
            control.exhausted,
            limited.short_side,
            limited.rescoring_ms,
            limits.draw_every,
            tuple(given_up),
        )


def _scaled(settings: PipelineSettings, scale: float) -> PipelineSettings:
    return replace(
        settings,
        short_side=max(round(settings.short_side * scale), min(LEAST_SIDE, settings.short_side)),
        max_tokens=max(int(settings.max_tokens * scale**2), min(LEAST_TOKENS, settings.max_tokens)),
    )


def _usual(settings: PipelineSettings, encoding_ms: float) -> float:
    """Milliseconds that the settings allow rescoring by themselves."""
    return encoding_ms if settings.rescoring_ms == AS_LONG_AS_ENCODING else settings.rescoring_ms


def _limited(settings: PipelineSettings, limits: FrameLimits, encoding_ms: float) -> PipelineSettings:
    rescoring_ms = min(limits.rescoring_ms, _usual(settings, encoding_ms))
    return replace(_scaled(settings, limits.scale), rescoring_ms=rescoring_ms)
