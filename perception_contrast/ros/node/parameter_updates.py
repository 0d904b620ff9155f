"""Puts changed parameters in force: in the models, the cameras and the scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perception_contrast.ros.camera.camera_stream import CameraStream
from perception_contrast.ros.camera.scheduler import FairWorker
from perception_contrast.ros.monitoring.statistics import Issues
from perception_contrast.ros.node.deadline import Deadline
from perception_contrast.ros.node.model_manager import ModelManager
from perception_contrast.ros.node.vocabulary_publisher import VocabularyPublisher
from perception_contrast.ros.parameters import node_parameters
from perception_contrast.ros.parameters.parameter_spec import Values


class ParameterUpdates:
    """The ParameterHandler of perception_node.

    Args:
        check_model_names: Refuse names of models that do not exist; False where a test builds its own models.
    """

    def __init__(
        self,
        models: ModelManager,
        cameras: Mapping[str, CameraStream],
        worker: FairWorker[Any],
        publisher: VocabularyPublisher,
        issues: Issues,
        deadline: Deadline,
        *,
        check_model_names: bool,
    ) -> None:
        self._models, self._cameras, self._worker = models, cameras, worker
        self._publisher, self._issues, self._deadline = publisher, issues, deadline
        self._check_model_names = check_model_names

    def apply(self, new: Values, old: Values) -> None:
        """Changes the pipeline in use. Raises PerceptionError to refuse the values."""
        if self._check_model_names and _differ(new, old, node_parameters.MODEL_PARAMETERS):
            node_parameters.check_model_names(new)
        pipeline = self._models.pipeline
        if pipeline is not None:
            # Queries first: they are the only part that can still be refused.
            if _differ(new, old, node_parameters.VOCABULARY_PARAMETERS):
                pipeline.set_queries(*node_parameters.requested_queries(new))
            pipeline.configure(node_parameters.pipeline_settings(new))

    def applied(self, new: Values) -> None:
        """Changes what cannot be refused."""
        self._publisher.publish(self._models.pipeline, force=True)
        self.configure_inputs(new)
        self._models.switch()

    def refused(self, reason: str) -> None:
        self._issues.add("parameters", reason)

    def configure_inputs(self, values: Values) -> None:
        """Sets rates and weights of the scheduler, outputs and synchronisation of the cameras."""
        rates = node_parameters.max_rates(values)
        intervals = {name: 1.0 / rate if rate > 0.0 else 0.0 for name, rate in rates.items()}
        weights = node_parameters.per_camera(values, "camera_weights")
        self._worker.configure(weights, intervals, int(values["max_batch"]))
        self._deadline.configure(float(values["target_rate"]), rates)
        for camera in self._cameras.values():
            camera.outputs.allow(node_parameters.allowed_outputs(values))
            camera.input.configure_sync(values["sync_slop"], values["sync_patience"])


def _differ(new: Values, old: Values, names: frozenset[str] | tuple[str, ...]) -> bool:
    return any(new[name] != old[name] for name in names)
