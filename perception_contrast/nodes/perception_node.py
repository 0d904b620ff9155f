"""perception_node: a camera's pictures in; features, masks, detections and their names out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CompressedImage, Image

from ..errors import FrameError, PerceptionError, QueryError
from ..ros import parameters
from ..ros.convert import nanoseconds
from ..ros.diagnostics import Diagnostics, Report
from ..ros.inputs import CameraInput, Received
from ..ros.lifecycle import Stop, in_background, leave, run
from ..ros.outputs import Outputs, nothing
from ..ros.parameters import Parameters, Values
from ..ros.services import NotActiveError, Services
from ..ros.statistics import Statistics
from ..ros.worker import LatestWorker
from ..threads import settle_threads

if TYPE_CHECKING:
    from ..pipeline import Pipeline

NAME = "perception_node"
Message = Image | CompressedImage
WARM_UP_SIZE = (480, 640)
# Older stamps are of another clock (a bag without use_sim_time), not a latency.
LONGEST_LATENCY_MS = 600_000.0


class PerceptionNode(LifecycleNode):
    """Stores the newest picture in the callback; a worker decodes, computes what is wanted, publishes.

    build: a stand-in for ``pipeline.build`` with its signature. Raises ParameterError, QueryError.
    """

    def __init__(
        self, stop: Stop | None = None, *, build: Callable[..., Pipeline] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(NAME, **kwargs)
        self._stop, self._build = stop or Stop(), build or _build
        self._phase = "unconfigured"
        self._pipeline: Pipeline | None = None
        self._latest: Received | None = None
        self._starting = False
        # Here, because no id may come again after a change of models.
        self._track_numbers = itertools.count(1)
        self._statistics = Statistics()
        self._table = Parameters(self, self._apply, lambda: self._phase != "unconfigured")
        values = self._table.values
        self._worker = LatestWorker(self._process, self._on_error, name="inference")
        self._worker.min_interval = _interval(values)
        self._outputs = Outputs(self)
        self._input = CameraInput(
            self,
            self._on_image,
            self._malformed,
            MutuallyExclusiveCallbackGroup(),
            compressed=values["image_transport"] == "compressed",
            use_depth=bool(values["use_depth"]),
            reliability=values["reliability"],
        )
        self._answers = Services(self, self)
        self._diagnostics = Diagnostics(self, self._report, MutuallyExclusiveCallbackGroup())
        if values["autostart"]:
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            group = MutuallyExclusiveCallbackGroup()
            self._starter = self.create_timer(0.0, self._start, callback_group=group, clock=steady)

    def close(self) -> None:
        """Ends the worker; call it before destroy_node."""
        self._phase = "finalized"
        self._worker.stop()
        self._let_go("finalized")

    # What the services ask for.

    def pipeline(self) -> Pipeline:
        if self._pipeline is None or self._phase != "active":
            raise NotActiveError(
                f"not active: the node is {self._phase}; "
                f"wait for it or use `ros2 lifecycle set {self.get_fully_qualified_name()}`"
            )
        return self._pipeline

    def latest(self) -> Received:
        if self._latest is None:
            raise QueryError(f"no frame has been decoded yet; is something published on {self._input.topic}?")
        return self._latest

    def announce(self, *, again: bool = False) -> None:
        if self._pipeline is not None:
            self._outputs.announce(self._pipeline, again=again)

    # Lifecycle.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._phase = "configuring"
        try:
            self._pipeline = in_background(self._load, self._stop)
        except PerceptionError as error:
            self._not_loaded(str(error))
        except Exception as error:
            self._not_loaded(f"internal error while loading: {error!r}")
        loaded = self._pipeline is not None
        self._phase = "inactive" if loaded else "unconfigured"
        return TransitionCallbackReturn.SUCCESS if loaded else TransitionCallbackReturn.FAILURE

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        super().on_activate(state)
        self._phase = "active"
        self.announce(again=True)
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._phase = "inactive"
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._let_go("unconfigured")
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._let_go("finalized")
        return super().on_shutdown(state)

    def _let_go(self, phase: str) -> None:
        self._phase = phase
        if self._pipeline is not None:
            self._pipeline.close()
        self._pipeline = self._latest = None

    def _start(self) -> None:
        self._starter.cancel()
        self._starting = True
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()
        self._starting = False

    def _not_loaded(self, reason: str) -> None:
        self._statistics.error(reason)
        if self._starting:
            self._stop(reason)
        else:
            self.get_logger().error(reason)

    def _load(self) -> Pipeline:
        values = self._table.values
        began = time.monotonic()
        self.get_logger().info(f"loading {values['model']}")
        pipeline = self._build(
            model=values["model"],
            language_model=values["language_model"],
            dense=values["dense"],
            device=values["device"],
            engine=values["engine"],
            precision=values["precision"],
            offline=values["offline"],
            settings=parameters.settings(values),
            progress=self.get_logger().info,
            track_numbers=self._track_numbers,
            proposals=parameters.proposal_files(values),
        )
        self._set_queries(pipeline, values)
        # The first pass pays for allocation and kernel choice; a robot's first frame should not.
        pipeline.warm_up(WARM_UP_SIZE, self.get_logger().info)
        for role, engine in pipeline.engines.items():
            self.get_logger().info(f"engine ({role}): {engine}")
        self.get_logger().info(f"{values['model']} loaded in {time.monotonic() - began:.1f} s")
        return pipeline

    # Parameters.

    def _set_queries(self, pipeline: Pipeline, values: Values) -> None:
        queries, distractors = parameters.asked_for(values)
        if queries or distractors:
            pipeline.set_queries(queries, distractors)

    def _apply(self, new: Values, old: Values) -> None:
        pipeline = self._pipeline
        if pipeline is not None:
            # Queries first: they are the only part that can still be refused.
            if any(new[name] != old[name] for name in parameters.ASKING):
                pipeline.set_queries(*parameters.asked_for(new))
            pipeline.configure(parameters.settings(new))
            self.announce(again=True)
        self._worker.min_interval = _interval(new)

    # Frames.

    def _on_image(self, message: Message) -> None:
        if self._phase == "active":
            self._statistics.frame_in()
            self._worker.submit((message, time.monotonic()))

    def _process(self, item: tuple[Message, float]) -> None:
        message, arrived = item
        pipeline = self._pipeline
        if pipeline is None or self._phase != "active":
            return
        began = time.monotonic()
        try:
            received = self._input.decode(message)
        except FrameError as error:
            self._malformed(error.reason, str(error))
            return
        self._latest = received
        decoded = time.monotonic()
        wants = self._outputs.wants()
        if nothing(wants):
            return
        result = pipeline.process(received.frame, wants)
        self.announce()
        computed = time.monotonic()
        self._outputs.publish(result, received.header, str(self._table.values["feature_dtype"]))
        done = time.monotonic()
        spans = {"wait": began - arrived, "decode": decoded - began, "publish": done - computed}
        spans["process"], spans["total"] = computed - decoded, done - arrived
        stages = {**result.timings, **{name: 1e3 * span for name, span in spans.items()}}
        since_stamp = (self.get_clock().now().nanoseconds - nanoseconds(message.header.stamp)) / 1e6
        if 0.0 <= since_stamp <= LONGEST_LATENCY_MS:
            stages["end_to_end"] = since_stamp
        self._statistics.latency(stages)
        self._statistics.frame_out()

    def _malformed(self, reason: str, message: str) -> None:
        count = self._statistics.malformed(reason, message)
        if count == 1 or count % 100 == 0:
            self.get_logger().warning(f"malformed input ({reason}, {count} so far): {message}")

    def _on_error(self, error: Exception) -> None:
        self._statistics.error(f"{type(error).__name__}: {error}")
        self.get_logger().error(f"a frame could not be processed: {type(error).__name__}: {error}")

    def _report(self) -> Report:
        pipeline = self._pipeline
        vocabulary = pipeline.vocabulary if pipeline is not None else None
        return Report(
            state=self._phase,
            snapshot=self._statistics.snapshot(),
            replaced=self._worker.replaced,
            input_topic=self._input.topic,
            publishers=self._input.publishers(),
            subscribers=self._outputs.subscribers(),
            models=pipeline.models if pipeline is not None else {},
            engines=pipeline.engines if pipeline is not None else {},
            warnings=pipeline.warnings if pipeline is not None else (),
            vocabulary_version=vocabulary.version if vocabulary is not None else 0,
            vocabulary_size=len(vocabulary.queries) if vocabulary is not None else 0,
        )


def _build(**arguments: Any) -> Pipeline:
    # Imported by the thread that loads: torch takes seconds, and signals and services must not wait for it.
    from ..pipeline import build

    return build(**arguments)


def _interval(values: Values) -> float:
    rate = float(values["max_rate"])
    return 1.0 / rate if rate > 0.0 else 0.0


def main(args: Sequence[str] | None = None) -> None:
    settle_threads(patient=True)
    leave(run(PerceptionNode, NAME, args))


if __name__ == "__main__":
    main()
