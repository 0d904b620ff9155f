"""A batch of frames, one of each camera, through the models: decoded, computed together, published."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from perception_contrast.core.errors import FrameError
from perception_contrast.ros.camera.camera_input import Received
from perception_contrast.ros.camera.camera_stream import Camera
from perception_contrast.ros.camera.stamp_synchronizer import Synchronized
from perception_contrast.ros.monitoring.latency import FrameTimeline, LatencyTopic
from perception_contrast.ros.monitoring.tracing import trace_points
from perception_contrast.ros.node.publishers import nothing

if TYPE_CHECKING:
    from perception_contrast.pipeline.output_request import OutputRequest
    from perception_contrast.pipeline.pending_result import PendingResult
    from perception_contrast.pipeline.pipeline import Pipeline

Decoded = tuple[Camera, Synchronized, Received, "OutputRequest", FrameTimeline]


class FrameProcessor:
    """For the worker's thread alone.

    pipeline: the one in use, None while there is none. after: called with it when a batch was computed.
    feature_dtype: of FeatureMaps.
    """

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        pipeline: Callable[[], Pipeline | None],
        after: Callable[[Pipeline], None],
        latency: LatencyTopic,
        feature_dtype: Callable[[], str],
    ) -> None:
        self._cameras, self._pipeline, self._after = cameras, pipeline, after
        self._latency, self._feature_dtype = latency, feature_dtype
        self._trace = trace_points()

    def __call__(self, batch: Sequence[tuple[str, Synchronized]]) -> None:
        pipeline = self._pipeline()
        if pipeline is None:
            return
        decoded = [one for name, paired in batch if (one := self._decoded(name, paired)) is not None]
        if not decoded:
            return
        frames, request = [one[2].frame for one in decoded], [one[3] for one in decoded]
        try:
            tickets = pipeline.submit_batch(frames, request)
        except Exception as error:
            for camera, *_ in decoded:
                camera.failed(error)
            return
        for one, ticket in zip(decoded, tickets, strict=True):
            try:
                self._finish(one, ticket)
            except Exception as error:
                one[0].failed(error)
        self._after(pipeline)

    def _decoded(self, name: str, paired: Synchronized) -> Decoded | None:
        camera, passage = self._cameras[name], FrameTimeline(paired.arrived, time.monotonic())
        self._trace("start", name, paired.stamp)
        try:
            received = camera.input.decode(paired)
        except FrameError as error:
            camera.malformed(error.reason, str(error))
            return None
        except Exception as error:
            camera.failed(error)
            return None
        passage.decoded = time.monotonic()
        self._trace("decoded", name, paired.stamp)
        camera.seen(received)
        request = camera.outputs.request()
        if nothing(request):
            camera.statistics.dropped("not_wanted")
            return None
        return camera, paired, received, request, passage

    def _finish(self, one: Decoded, ticket: PendingResult) -> None:
        camera, paired, received, _, passage = one
        result = ticket.result()
        passage.computed, passage.timings = time.monotonic(), result.timings
        self._trace("computed", camera.name, paired.stamp)
        camera.outputs.publish(result, received.header, self._feature_dtype())
        passage.published = time.monotonic()
        self._trace("published", camera.name, paired.stamp)
        camera.statistics.latency(passage.milliseconds(camera.stamp_age_ms(paired)))
        camera.statistics.frame_out()
        self._latency.publish(received.header, camera.name, passage)
