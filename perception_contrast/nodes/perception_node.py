"""perception_node: camera images in; features, masks and detections out."""

from __future__ import annotations

if __name__ == "__main__":
    # Before the imports, which take seconds.
    from perception_contrast.core.process.early_exit import exit_on_signals

    exit_on_signals()

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.process.threads import settle_threads
from perception_contrast.ros.camera.camera_input import InputSettings
from perception_contrast.ros.camera.camera_stream import CameraStream
from perception_contrast.ros.camera.output_publishers import OutputFormat
from perception_contrast.ros.camera.scheduler import FairWorker
from perception_contrast.ros.camera.stamp_synchronizer import Synchronized
from perception_contrast.ros.mapping.tf_listener import TfListener
from perception_contrast.ros.monitoring.diagnostics import PERIOD, Diagnostics, statuses
from perception_contrast.ros.monitoring.latency import LatencyTopic
from perception_contrast.ros.monitoring.statistics import Issues
from perception_contrast.ros.node.active_pipeline import ActivePipeline
from perception_contrast.ros.node.daemon_executor import DaemonExecutor
from perception_contrast.ros.node.deadline import Deadline
from perception_contrast.ros.node.frame_processor import FrameProcessor
from perception_contrast.ros.node.lifecycle_bond import LifecycleBond
from perception_contrast.ros.node.lifecycle_service import answer_impossible_transitions
from perception_contrast.ros.node.model_manager import ModelManager
from perception_contrast.ros.node.parameter_updates import ParameterUpdates
from perception_contrast.ros.node.run_node import exit_process, run_node
from perception_contrast.ros.node.services import PerceptionServices
from perception_contrast.ros.node.shutdown_event import ShutdownEvent
from perception_contrast.ros.node.status_report import StatusReporter
from perception_contrast.ros.node.vocabulary_publisher import VocabularyPublisher
from perception_contrast.ros.parameters.node_parameters import NodeParameters, camera_names
from perception_contrast.ros.parameters.parameter_spec import Values
from perception_contrast.vocabulary.vocabulary_store import VocabularyStore, state_file

if TYPE_CHECKING:
    from perception_contrast.pipeline.pipeline import Pipeline

NAME = "perception_node"
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class PerceptionNode(LifecycleNode):
    """Creates the parts of the node, which are modules of ``ros``, and moves them through the lifecycle.

    Args:
        shutdown: Set by the node if it cannot start.
        build: Replaces ``pipeline.build``; has its signature and accepts any name of a model.
        diagnostics_period: Seconds between two messages on /diagnostics.

    Raises:
        ParameterError, QueryError: A parameter given at start is refused.
    """

    def __init__(
        self,
        shutdown: ShutdownEvent | None = None,
        *,
        build: Callable[..., Pipeline] | None = None,
        diagnostics_period: float = PERIOD,
        **kwargs: Any,
    ) -> None:
        super().__init__(NAME, **kwargs)
        answer_impossible_transitions(self)
        self._shutdown = shutdown or ShutdownEvent()
        self._autostarting = False
        self._issues, self._node_parameters = Issues(), NodeParameters(self)
        values = self._node_parameters.values
        self._bond = LifecycleBond(self, float(values["bond_heartbeat_period"]))
        full_name = self.get_fully_qualified_name()
        self._store = VocabularyStore(
            state_file(full_name, self.context.get_domain_id()),
            values["restore_vocabulary"],
            self._on_store_error,
        )
        self._publisher = VocabularyPublisher(self, self._node_parameters, self._store)
        self._executor = DaemonExecutor("models")
        self._models = ModelManager(
            self._executor,
            build or _build_pipeline,
            self._node_parameters,
            self._store,
            self._publisher,
            self._issues,
            self.get_logger(),
        )
        self._active = ActivePipeline(self._models, full_name)
        self._create_cameras(values)
        self._perception_services = PerceptionServices(
            self, self._active, self._cameras, self._publisher, self._issues
        )
        updates = ParameterUpdates(
            self._models,
            self._cameras,
            self._worker,
            self._publisher,
            self._issues,
            self._deadline,
            check_model_names=build is None,
        )
        updates.configure_inputs(values)
        self._node_parameters.handle_changes(updates)
        reporter = StatusReporter(
            self._active,
            self._models,
            self._cameras,
            self._worker,
            self._issues,
            self._node_parameters,
            self._deadline,
        )
        self._diagnostics = Diagnostics(
            self,
            lambda name: statuses(name, reporter.report()),
            MutuallyExclusiveCallbackGroup(),
            diagnostics_period,
        )
        self._create_timers(values)

    def _create_cameras(self, values: Values) -> None:
        names = camera_names(values)
        settings = _input_settings(values)
        tree = TfListener(self, moving=False).tree if settings.use_depth else None
        self._cameras = {
            name: CameraStream(self, name, settings, self._submit, MutuallyExclusiveCallbackGroup(), tree)
            for name in names
        }
        self._deadline = Deadline(self._cameras)
        processor = FrameProcessor(
            self._cameras,
            self._active,
            self._publisher,
            LatencyTopic(self),
            self._output_format,
            self._deadline,
        )
        self._worker: FairWorker[Synchronized] = FairWorker(
            processor.process_batch, self._on_worker_error, names, thread_name="inference"
        )

    def _output_format(self) -> OutputFormat:
        values = self._node_parameters.values
        return OutputFormat(
            str(values["feature_dtype"]), int(values["overlay_quality"]), float(values["max_depth"])
        )

    def _create_timers(self, values: Values) -> None:
        threshold = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
        )
        self._jump_handle = self.get_clock().create_jump_callback(threshold, post_callback=self._on_time_jump)
        if values["autostart"]:
            steady, group = Clock(clock_type=ClockType.STEADY_TIME), MutuallyExclusiveCallbackGroup()
            self._autostart_timer = self.create_timer(
                0.0, self._autostart, callback_group=group, clock=steady
            )

    def close(self) -> None:
        """Ends the threads and releases the models; to be called before ``destroy_node``."""
        self._bond.end()
        self._stop_cameras("finalized")
        self._worker.stop()
        self._models.release()
        self._executor.shutdown()
        self._store.close()

    # Lifecycle.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._load("configuring", "unconfigured")

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        if self._models.pipeline is None and self._load("activating", "inactive") != SUCCESS:
            return FAILURE
        super().on_activate(state)
        self._models.resume()
        self._active.state = "active"
        self._publisher.publish(self._models.pipeline, force=True)
        for camera in self._cameras.values():
            camera.set_active(True)
        self._bond.start()
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_processing("inactive")
        if self._node_parameters.values["release_on_deactivate"]:
            self._models.release()
        self._models.pause()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_processing("unconfigured")
        self._models.release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_processing("finalized")
        self._models.release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Makes the node unconfigured, ready to be configured again."""
        self._stop_processing("unconfigured")
        self._models.release()
        return SUCCESS

    def _load(self, during: str, on_failure: str) -> TransitionCallbackReturn:
        """Loads the models; during, on_failure: states that are shown meanwhile and after a failure."""
        self._active.state = during
        try:
            self._executor.run(self._models.load, self._shutdown)
            with self._node_parameters.lock:
                self._models.apply_late_changes()
        except PerceptionError as error:
            self._on_load_failure(str(error))
        except Exception as error:
            self._on_load_failure(f"internal error while loading: {error!r}")
        loaded = self._models.pipeline is not None
        self._active.state = "inactive" if loaded else on_failure
        if loaded:
            self._issues.clear("models")
        return SUCCESS if loaded else FAILURE

    def _on_load_failure(self, reason: str) -> None:
        self._issues.add("models", reason)
        if self._autostarting:
            self._shutdown.set(reason)
        else:
            self.get_logger().error(reason)

    def _stop_processing(self, state: str) -> None:
        """No frame is received or computed any more once this returns, and the bond is broken."""
        self._bond.end()
        self._stop_cameras(state)
        self._worker.drain()

    def _stop_cameras(self, state: str) -> None:
        self._active.state = state
        for camera in self._cameras.values():
            camera.set_active(False)

    def _autostart(self) -> None:
        self._autostart_timer.cancel()
        self._autostarting = True
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()
        self._autostarting = False

    # Events.

    def _submit(self, synchronized: Synchronized, camera: str) -> None:
        self._worker.submit(synchronized, camera)

    def _on_time_jump(self, jump: Any) -> None:
        self._issues.add("time", "the clock jumped")
        for camera in self._cameras.values():
            camera.reset()

    def _on_worker_error(self, error: Exception) -> None:
        for camera in self._cameras.values():
            camera.report_failure(error)

    def _on_store_error(self, message: str) -> None:
        self._issues.add("state", message)
        self.get_logger().warning(message)


def _input_settings(values: Values) -> InputSettings:
    return InputSettings(
        compressed=values["image_transport"] == "compressed",
        use_depth=bool(values["use_depth"]),
        reliability=str(values["reliability"]),
        slop=float(values["sync_slop"]),
        patience=float(values["sync_patience"]),
    )


def _build_pipeline(**arguments: Any) -> Pipeline:
    # Imported by the thread that loads: torch takes seconds, and signals and services must not wait for it.
    from perception_contrast.pipeline.build import build

    return build(**arguments)


def main(args: Sequence[str] | None = None) -> None:
    settle_threads(patient=True)
    exit_process(run_node(PerceptionNode, NAME, args))


if __name__ == "__main__":
    main()
