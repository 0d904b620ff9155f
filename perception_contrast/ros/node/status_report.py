"""Collects the state of a node and its cameras for diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perception_contrast.ros.camera.camera_stream import CameraStream
from perception_contrast.ros.camera.scheduler import FairWorker
from perception_contrast.ros.monitoring.hardware import hardware_values
from perception_contrast.ros.monitoring.health import CameraReport, NodeReport, PairedTopic
from perception_contrast.ros.monitoring.statistics import Issues
from perception_contrast.ros.node.active_pipeline import ActivePipeline
from perception_contrast.ros.node.deadline import Deadline
from perception_contrast.ros.node.model_manager import ModelManager
from perception_contrast.ros.parameters.node_parameters import NodeParameters, per_camera

# Kinds of issues that are shown for a while, and those that are shown until they are resolved.
_TEMPORARY_ISSUES = ("vocabulary", "parameters")
_LASTING_ISSUES = ("models", "state")


class StatusReporter:
    """For one thread at a time: it remembers the counts of the report before."""

    def __init__(
        self,
        active: ActivePipeline,
        models: ModelManager,
        cameras: Mapping[str, CameraStream],
        worker: FairWorker[Any],
        issues: Issues,
        parameters: NodeParameters,
        deadline: Deadline,
    ) -> None:
        self._active, self._models, self._cameras = active, models, cameras
        self._worker, self._issues, self._parameters = worker, issues, parameters
        self._deadline = deadline
        self._last_counts: dict[str, dict[str, int]] = {}

    def report(self) -> NodeReport:
        pipeline, load = self._models.pipeline, self._models.load_status
        vocabulary = pipeline.vocabulary if pipeline is not None else None
        issues = {kind: self._issues.recent(kind) for kind in _TEMPORARY_ISSUES}
        issues |= {kind: self._issues.last(kind) for kind in _LASTING_ISSUES}
        if pipeline is not None:
            # Models serve, though not those that were asked for last: that is shown for a while only.
            issues["models"] = self._issues.recent("models")
        expected_rates = per_camera(self._parameters.values, "expected_rates")
        return NodeReport(
            state=self._active.state,
            cameras=[self._camera(one, expected_rates[name]) for name, one in self._cameras.items()],
            models=pipeline.models if pipeline is not None else {},
            engines=pipeline.engines if pipeline is not None else {},
            warnings=pipeline.warnings if pipeline is not None else (),
            self_calibration=pipeline.self_calibration if pipeline is not None else "",
            encoding_texts=pipeline.encoding_texts if pipeline is not None else "",
            text_failures=pipeline.text_failures if pipeline is not None else (),
            vocabulary_version=vocabulary.version if vocabulary is not None else 0,
            vocabulary_size=len(vocabulary.queries) if vocabulary is not None else 0,
            trained_absent=pipeline.trained_absent if pipeline is not None else (),
            loading=load.models,
            progress=load.progress,
            loading_seconds=load.seconds,
            issues={kind: message for kind, message in issues.items() if message},
            counts={
                kind: self._issues.count(kind) for kind in (*_TEMPORARY_ISSUES, *_LASTING_ISSUES, "time")
            },
            busy_seconds=self._worker.busy_seconds,
            hardware=hardware_values(),
            deadline=self._deadline.report,
        )

    def _camera(self, camera: CameraStream, expected_hz: float) -> CameraReport:
        name, image = camera.name, camera.input.image
        dropped = self._worker.dropped(name)
        pairs, stamps = camera.input.synchronizer.outcomes, camera.stamps.counts
        publishers, snapshot = image.publishers(), camera.statistics.snapshot()
        return CameraReport(
            name=name,
            snapshot=snapshot,
            topic=camera.input.topic,
            input=f"{name}/image" if name else "image",
            is_subscribed=camera.is_subscribed,
            has_subscribers=camera.has_subscribers,
            publishers=publishers,
            # Searching the whole graph is only for topics without any publisher.
            similar_topics=() if publishers or not camera.is_subscribed else image.similar_topics(),
            incompatible_publishers=[
                (one.topic, reason) for one in camera.input.topics for reason in one.incompatible_publishers()
            ],
            subscribers=camera.outputs.subscribers(),
            incompatible_subscribers=camera.outputs.incompatible_subscribers(),
            switched_off=camera.outputs.switched_off(),
            expected_hz=expected_hz,
            replaced=dropped.replaced,
            rate_limited=dropped.rate_limited,
            waiting=self._worker.waiting(name),
            paired={
                name: PairedTopic(one.topic, one.publishers()) for name, one in camera.input.paired.items()
            },
            pairs=pairs,
            new_pairs=self._since_last(f"{name} pairs", pairs),
            stamps=stamps,
            new_stamps=self._since_last(f"{name} stamps", stamps),
        )

    def _since_last(self, key: str, counts: Mapping[str, int]) -> dict[str, int]:
        last, self._last_counts[key] = self._last_counts.get(key, {}), dict(counts)
        return {name: count - last.get(name, 0) for name, count in counts.items()}
