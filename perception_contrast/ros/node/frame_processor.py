"""Processes a batch of frames, at most one of each camera: decodes, computes together, publishes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from perception_contrast.core.errors import FrameError
from perception_contrast.pipeline.stage_timer import StageTimer
from perception_contrast.ros.camera.camera_input import ReceivedFrame
from perception_contrast.ros.camera.camera_stream import CameraStream
from perception_contrast.ros.camera.output_publishers import OutputFormat, requests_anything
from perception_contrast.ros.camera.scheduler import Scheduled
from perception_contrast.ros.camera.stamp_synchronizer import Synchronized
from perception_contrast.ros.monitoring.latency import FrameTimeline, LatencyTopic
from perception_contrast.ros.monitoring.tracing import trace_points
from perception_contrast.ros.node.active_pipeline import ActivePipeline
from perception_contrast.ros.node.deadline import Deadline
from perception_contrast.ros.node.vocabulary_publisher import VocabularyPublisher

if TYPE_CHECKING:
    from perception_contrast.pipeline.output_request import OutputRequest
    from perception_contrast.pipeline.pending_result import PendingResult


@dataclass(frozen=True)
class DecodedFrame:
    """A frame on its way through the models, with the outputs that have subscribers."""

    camera: CameraStream
    received: ReceivedFrame
    request: OutputRequest
    timeline: FrameTimeline

    @property
    def stamp(self) -> int:
        """Nanoseconds."""
        return self.received.frame.stamp


class FrameProcessor:
    """For the worker's thread alone.

    Args:
        output_format: Gives how results are written.
        deadline: Says what a batch may cost.
    """

    def __init__(
        self,
        cameras: Mapping[str, CameraStream],
        active: ActivePipeline,
        publisher: VocabularyPublisher,
        latency: LatencyTopic,
        output_format: Callable[[], OutputFormat],
        deadline: Deadline,
    ) -> None:
        self._cameras, self._active, self._publisher = cameras, active, publisher
        self._latency, self._output_format = latency, output_format
        self._deadline, self._trace = deadline, trace_points()

    def process_batch(self, batch: Sequence[Scheduled[Synchronized]]) -> None:
        pipeline = self._active.get()
        if pipeline is None:
            return
        began = time.monotonic()
        decoded = [frame for one in batch if (frame := self._decode(one.camera, one.item)) is not None]
        if not decoded:
            return
        try:
            frames = [one.received.frame for one in decoded]
            settings = self._deadline.settings(pipeline, [frame.size for frame in frames])
            pending = pipeline.submit_batch(frames, [one.request for one in decoded], settings)
        except Exception as error:
            for one in decoded:
                one.camera.report_failure(error)
            return
        for one, result in zip(decoded, pending, strict=True):
            try:
                self._publish(one, result)
            except Exception as error:
                one.camera.report_failure(error)
        timings = [one.timeline.timings for one in decoded]
        self._deadline.add(time.monotonic() - began, timings, pipeline.settings)
        self._publisher.publish(pipeline)

    def _decode(self, name: str, synchronized: Synchronized) -> DecodedFrame | None:
        """None for a frame that cannot be decoded, or whose outputs have no subscriber any more."""
        camera, timeline = self._cameras[name], FrameTimeline(synchronized.arrived, time.monotonic())
        self._trace("start", name, synchronized.stamp)
        try:
            received = camera.input.decode(synchronized)
        except FrameError as error:
            camera.report_malformed(error.reason, str(error))
            return None
        except Exception as error:
            camera.report_failure(error)
            return None
        timeline.decoded = time.monotonic()
        self._trace("decoded", name, synchronized.stamp)
        camera.store_latest(received)
        request = self._deadline.thinned(name, camera.outputs.request())
        if not requests_anything(request):
            camera.statistics.dropped("not_wanted")
            return None
        return DecodedFrame(camera, received, request, timeline)

    def _publish(self, decoded: DecodedFrame, pending: PendingResult) -> None:
        camera, timeline, header = decoded.camera, decoded.timeline, decoded.received.header
        result = pending.result()
        timer, boxes, output_format = StageTimer(result.timings), None, self._output_format()
        if camera.outputs.wants_boxes:
            with timer.stage("boxes"):
                boxes = camera.boxes(result, output_format.max_depth)
        timeline.computed, timeline.timings = time.monotonic(), timer.timings
        self._trace("computed", camera.name, decoded.stamp)
        camera.statistics.unfamiliar(result.familiarity.warning if result.familiarity is not None else "")
        camera.outputs.publish(result, header, output_format, boxes)
        timeline.published = time.monotonic()
        self._trace("published", camera.name, decoded.stamp)
        if result.rescoring is not None:
            camera.statistics.rescoring(asdict(result.rescoring))
        camera.statistics.latency(timeline.milliseconds(camera.stamp_age_ms(decoded.stamp)))
        camera.statistics.frame_out()
        self._latency.publish(header, camera.name, timeline)
