"""perception_node: cameras' images in; features, masks, detections and their names out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.threads import settle_threads
from perception_contrast.ros.camera.camera_input import InputSettings, Received
from perception_contrast.ros.camera.camera_stream import Camera
from perception_contrast.ros.camera.scheduler import FairWorker
from perception_contrast.ros.camera.stamp_synchronizer import Synchronized
from perception_contrast.ros.monitoring.diagnostics import Diagnostics
from perception_contrast.ros.monitoring.latency import LatencyTopic
from perception_contrast.ros.monitoring.reporter import Reporter
from perception_contrast.ros.monitoring.statistics import Issues
from perception_contrast.ros.node.frame_processor import FrameProcessor
from perception_contrast.ros.node.lifecycle import Background, Stop, answer_every_transition, leave, run
from perception_contrast.ros.node.model_manager import ModelManager, asking
from perception_contrast.ros.node.publishers import LatchedPublisher
from perception_contrast.ros.node.services import NotActiveError, Services
from perception_contrast.ros.node.vocabulary_store import VocabularyStore, state_file
from perception_contrast.ros.parameters import node_parameters as parameters
from perception_contrast.ros.parameters.node_parameters import Parameters, Values, known_models

if TYPE_CHECKING:
    from perception_contrast.pipeline.pipeline import Pipeline

NAME = "perception_node"
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class PerceptionNode(LifecycleNode):
    """Wires parameters, cameras, models and services together; each of them is a module of ``ros``.

    build: a stand-in for ``pipeline.build`` with its signature, for which any name of a model will do.
    Raises ParameterError, QueryError.
    """

    def __init__(
        self, stop: Stop | None = None, *, build: Callable[..., Pipeline] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(NAME, **kwargs)
        answer_every_transition(self)
        self._stop = stop or Stop()
        self._phase, self._starting = "unconfigured", False
        self._troubles = Issues()
        known = known_models if build is None else lambda values: None
        self._table = Parameters(self, self._apply, known)
        values = self._table.values
        path = state_file(self.get_fully_qualified_name(), self.context.get_domain_id())
        self._remembered = VocabularyStore(path, values["restore_vocabulary"], self._not_kept)
        self._background = Background("models")
        self._models = ModelManager(
            self._background,
            build or _build,
            lambda: self._table.values,
            self._remembered,
            self,
            self._taken_over,
            self._go_back,
        )
        names = parameters.camera_names(values)
        self.cameras = {
            name: Camera(self, name, _input(values), self._submit, MutuallyExclusiveCallbackGroup())
            for name in names
        }
        self._announcer, latency = LatchedPublisher(self), LatencyTopic(self)
        self._frame_processor = FrameProcessor(
            self.cameras, self._serving, self._announce, latency, lambda: self._table.values["feature_dtype"]
        )
        self._worker: FairWorker[Synchronized] = FairWorker(
            self._frame_processor, self._on_error, names, name="inference"
        )
        self._tune(values)
        self._answers = Services(self, self, names)
        reporter = Reporter(self.cameras, self._models, self._worker, self._troubles, self._table)
        self._diagnostics = Diagnostics(
            self, lambda: reporter.report(self._phase), MutuallyExclusiveCallbackGroup()
        )
        self._table.changed, self._table.refused = self._changed, self._refused
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        threshold = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
        )
        self._jumps = self.get_clock().create_jump_callback(threshold, post_callback=self._on_jump)
        if values["autostart"]:
            group = MutuallyExclusiveCallbackGroup()
            self._starter = self.create_timer(0.0, self._start, callback_group=group, clock=steady)

    def close(self) -> None:
        """Ends the worker and lets the models go; call it before destroy_node."""
        self._phase = "finalized"
        self._watch(False)
        self._worker.stop()
        self._models.release()
        self._background.end()
        self._remembered.end()

    # What the services ask for.

    def pipeline(self) -> Pipeline:
        pipeline = self._serving()
        if pipeline is None:
            raise NotActiveError(
                f"not active: the node is {self._phase}; "
                f"wait for it or use `ros2 lifecycle set {self.get_fully_qualified_name()}`"
            )
        return pipeline

    def latest(self, camera: str) -> Received:
        return self.cameras[camera].newest()

    def announce(self) -> None:
        if (pipeline := self._models.pipeline) is not None:
            self._announce(pipeline)

    def refused(self, reason: str) -> None:
        self._troubles.add("vocabulary", reason)

    # What the models tell.

    def progress(self, line: str) -> None:
        self.get_logger().info(line)

    def trouble(self, kind: str, line: str) -> None:
        self._troubles.add(kind, line)
        self.get_logger().warning(line)

    def mended(self, kind: str) -> None:
        self._troubles.clear(kind)

    def _taken_over(self, pipeline: Pipeline) -> None:
        with self._table.lock:
            pipeline.configure(parameters.settings(self._table.values))
        self._announce(pipeline, again=True)

    def _go_back(self, values: Values) -> None:
        """Parameters name again what is in force."""
        names = [name for name in parameters.LOADED if values[name] != self._table.values[name]]
        self.set_parameters_atomically([Parameter(name, value=values[name]) for name in names])

    # Lifecycle.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._load("configuring", "unconfigured")

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        if self._models.pipeline is None and self._load("activating", "inactive") != SUCCESS:
            return FAILURE
        super().on_activate(state)
        self._phase = "active"
        self.announce_again()
        self._watch(True)
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._rest("inactive")
        if self._table.values["release_on_deactivate"]:
            self._models.release()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._rest("unconfigured")
        self._models.release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._rest("finalized")
        self._models.release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a transition that failed for a reason of ours: unconfigured, and ready to begin again."""
        self._rest("unconfigured")
        self._models.release()
        return SUCCESS

    def _load(self, during: str, otherwise: str) -> TransitionCallbackReturn:
        self._phase = during
        try:
            self._background.call(self._models.load, self._stop)
            with self._table.lock:
                self._models.catch_up()
        except PerceptionError as error:
            self._not_loaded(str(error))
        except Exception as error:
            self._not_loaded(f"internal error while loading: {error!r}")
        loaded = self._models.pipeline is not None
        self._phase = "inactive" if loaded else otherwise
        if loaded:
            self._troubles.clear("models")
        return SUCCESS if loaded else FAILURE

    def _rest(self, phase: str) -> None:
        """Nothing is listened to or computed any more once this returns."""
        self._phase = phase
        self._watch(False)
        self._worker.settle()

    def _watch(self, active: bool) -> None:
        for camera in self.cameras.values():
            camera.activate(active)

    def _start(self) -> None:
        self._starter.cancel()
        self._starting = True
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()
        self._starting = False

    def _not_loaded(self, reason: str) -> None:
        self._troubles.add("models", reason)
        if self._starting:
            self._stop(reason)
        else:
            self.get_logger().error(reason)

    # Parameters.

    def _apply(self, new: Values, old: Values) -> None:
        pipeline = self._models.pipeline
        if pipeline is not None:
            # Queries first: they are the only part that can still be refused.
            if any(new[name] != old[name] for name in parameters.ASKING):
                pipeline.set_queries(*parameters.asked_for(new))
            pipeline.configure(parameters.settings(new))

    def _changed(self, new: Values, old: Values) -> None:
        self.announce_again()
        self._tune(new)
        self._models.switch()

    def _refused(self, reason: str) -> None:
        self._troubles.add("parameters", reason)

    def _tune(self, values: Values) -> None:
        rates = parameters.max_rates(values)
        intervals = {name: 1.0 / rate if rate > 0.0 else 0.0 for name, rate in rates.items()}
        self._worker.configure(parameters.each(values, "camera_weights"), intervals, int(values["max_batch"]))
        for camera in self.cameras.values():
            camera.outputs.allow(parameters.allowed_outputs(values))
            camera.input.tune(values["sync_slop"], values["sync_patience"])

    # Frames.

    def _serving(self) -> Pipeline | None:
        return self._models.pipeline if self._phase == "active" else None

    def _submit(self, camera: Camera, paired: Synchronized) -> None:
        self._worker.submit(paired, camera.name)

    def _announce(self, pipeline: Pipeline, *, again: bool = False) -> None:
        if self._announcer.announce(pipeline, again=again):
            self._remembered.keep(pipeline.vocabulary, asking(self._table.values))

    def announce_again(self) -> None:
        """Publishes what is latched, for thresholds may have changed, or nobody could hear it so far."""
        if (pipeline := self._models.pipeline) is not None:
            self._announce(pipeline, again=True)

    def _on_jump(self, jump: Any) -> None:
        self._troubles.add("time", "the clock jumped")
        for camera in self.cameras.values():
            camera.restart()

    def _on_error(self, error: Exception) -> None:
        for camera in self.cameras.values():
            camera.failed(error)

    def _not_kept(self, reason: str) -> None:
        self.trouble("state", reason)


def _input(values: Values) -> InputSettings:
    return InputSettings(
        compressed=values["image_transport"] == "compressed",
        use_depth=bool(values["use_depth"]),
        reliability=str(values["reliability"]),
        slop=float(values["sync_slop"]),
        patience=float(values["sync_patience"]),
    )


def _build(**arguments: Any) -> Pipeline:
    # Imported by the thread that loads: torch takes seconds, and signals and services must not wait for it.
    from perception_contrast.pipeline.build import build

    return build(**arguments)


def main(args: Sequence[str] | None = None) -> None:
    settle_threads(patient=True)
    leave(run(PerceptionNode, NAME, args))


if __name__ == "__main__":
    main()
