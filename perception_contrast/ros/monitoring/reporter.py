"""Gathers what diagnostics tell, once a second, from the parts of the node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from perception_contrast.ros.camera.camera_stream import Camera
from perception_contrast.ros.camera.scheduler import FairWorker
from perception_contrast.ros.monitoring.hardware import hardware_values
from perception_contrast.ros.monitoring.health import CameraReport, NodeReport
from perception_contrast.ros.monitoring.statistics import Issues
from perception_contrast.ros.node.model_manager import ModelManager
from perception_contrast.ros.parameters import node_parameters as parameters

if TYPE_CHECKING:
    from perception_contrast.ros.parameters.node_parameters import Parameters

# What is told for a while, and what is told until it is mended.
_NEWS = ("vocabulary", "parameters")
_LASTING = ("models", "state")


class Reporter:
    """For one thread at a time: it remembers the counts of the report before."""

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        models: ModelManager,
        worker: FairWorker[Any],
        issues: Issues,
        table: Parameters,
    ) -> None:
        self._cameras, self._models, self._worker = cameras, models, worker
        self._troubles, self._table = issues, table
        self._before: dict[str, dict[str, int]] = {}

    def report(self, state: str) -> NodeReport:
        pipeline, loading = self._models.pipeline, self._models.loading
        vocabulary = pipeline.vocabulary if pipeline is not None else None
        issues = {kind: self._troubles.recent(kind) for kind in _NEWS}
        issues |= {kind: self._troubles.last(kind) for kind in _LASTING}
        if pipeline is not None:
            # ModelManager serve, though not those that were wished for.
            issues["models"] = self._troubles.recent("models")
        expected = parameters.each(self._table.values, "expected_rates")
        return NodeReport(
            state=state,
            cameras=[self._camera(one, expected[name]) for name, one in self._cameras.items()],
            models=pipeline.models if pipeline is not None else {},
            engines=pipeline.engines if pipeline is not None else {},
            warnings=pipeline.warnings if pipeline is not None else (),
            vocabulary_version=vocabulary.version if vocabulary is not None else 0,
            vocabulary_size=len(vocabulary.queries) if vocabulary is not None else 0,
            loading=loading.what,
            progress=loading.progress,
            loading_seconds=loading.seconds,
            issues={kind: said for kind, said in issues.items() if said},
            counts={kind: self._troubles.count(kind) for kind in (*_NEWS, *_LASTING, "time")},
            busy=self._worker.busy,
            hardware=hardware_values(),
        )

    def _camera(self, camera: Camera, expected: float) -> CameraReport:
        name, image = camera.name, camera.input.image
        replaced, rate_limited = self._worker.dropped(name)
        pairs, stamps = camera.input.synchronizer.outcomes, camera.stamps.counts
        publishers, snapshot = image.publishers(), camera.statistics.snapshot()
        return CameraReport(
            name=name,
            snapshot=snapshot,
            topic=camera.input.topic,
            input=f"{name}/image" if name else "image",
            listening=camera.listening,
            wanted=camera.wanted,
            publishers=publishers,
            # Looking through the whole graph is for those who have nothing.
            similar=() if publishers or not camera.listening else image.similar(),
            mismatches=[line for one in camera.input.topics for line in one.mismatches()],
            subscribers=camera.outputs.subscribers(),
            unheard=camera.outputs.unheard(),
            switched_off=camera.outputs.switched_off(),
            expected_hz=expected,
            replaced=replaced,
            rate_limited=rate_limited,
            waiting=self._worker.waiting(name),
            pairs=pairs,
            new_pairs=self._since(f"{name} pairs", pairs),
            stamps=stamps,
            new_stamps=self._since(f"{name} stamps", stamps),
        )

    def _since(self, key: str, counts: Mapping[str, int]) -> dict[str, int]:
        before, self._before[key] = self._before.get(key, {}), dict(counts)
        return {name: count - before.get(name, 0) for name, count in counts.items()}
