"""map_node: what perception_node finds, with depth and poses, becomes a 3D map that answers questions."""

from __future__ import annotations

if __name__ == "__main__":
    # Before the imports, which take seconds.
    from perception_contrast.core.process.early_exit import exit_on_signals

    exit_on_signals()

from collections.abc import Sequence
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from vision_msgs.msg import LabelInfo

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.process.threads import settle_threads
from perception_contrast.core.rigid_transform import PoseError, RigidTransform
from perception_contrast.mapping.poses.pose_odometry import PoseOdometry
from perception_contrast.mapping.poses.pose_source import PoseSource, SampledPoses, TransformPoses
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast.memory.map_files import MapFiles
from perception_contrast.ros.mapping.frame_conversion import FrameParts
from perception_contrast.ros.mapping.look_action import LookAction
from perception_contrast.ros.mapping.map_builder import MapBuilder
from perception_contrast.ros.mapping.map_control import MapControl
from perception_contrast.ros.mapping.map_health import (
    SILENT,
    CameraReport,
    MapReport,
    map_findings,
    map_values,
)
from perception_contrast.ros.mapping.map_inputs import MapInputs
from perception_contrast.ros.mapping.map_outputs import MapOutputs
from perception_contrast.ros.mapping.map_parameters import (
    SPECS,
    camera_names,
    check_together,
    map_settings,
    privacy,
    request_settings,
    retention,
)
from perception_contrast.ros.mapping.map_services import MapServices
from perception_contrast.ros.mapping.pose_inputs import subscribe_to_poses
from perception_contrast.ros.mapping.question_encoder import QuestionEncoder
from perception_contrast.ros.mapping.tf_listener import TfListener
from perception_contrast.ros.messages.detection_messages import UNLABELLED_NAME
from perception_contrast.ros.monitoring.diagnostics import PERIOD, Diagnostics, status_message
from perception_contrast.ros.monitoring.statistics import Issues, Statistics
from perception_contrast.ros.node.daemon_executor import DaemonExecutor
from perception_contrast.ros.node.lifecycle_bond import LifecycleBond
from perception_contrast.ros.node.lifecycle_service import answer_impossible_transitions
from perception_contrast.ros.node.run_node import exit_process, run_node
from perception_contrast.ros.node.shutdown_event import ShutdownEvent
from perception_contrast.ros.parameters.parameter_set import ParameterSet
from perception_contrast.ros.parameters.parameter_spec import Values
from perception_contrast.ros.qos import latched_qos

NAME = "map_node"
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
_NO_JOURNAL = 0.0
_ISSUES = ("map", "frames", "queries", "storage", "names")


class MapNode(LifecycleNode):
    """Creates the parts of the node, modules of ``ros.mapping``, and moves them through the lifecycle.

    Args:
        shutdown: Set by the node if it cannot start.
        diagnostics_period: Seconds between two messages on /diagnostics.

    Raises:
        ParameterError: A parameter given at start is refused.
    """

    def __init__(
        self,
        shutdown: ShutdownEvent | None = None,
        *,
        diagnostics_period: float = PERIOD,
        **kwargs: Any,
    ) -> None:
        super().__init__(NAME, **kwargs)
        answer_impossible_transitions(self)
        self._shutdown = shutdown or ShutdownEvent()
        self._map_state, self._autostarting = "unconfigured", False
        self._node_parameters = ParameterSet(self, SPECS, check_together)
        values = self._node_parameters.values
        self._issues, self._statistics = Issues(), Statistics()
        self._bond = LifecycleBond(self, float(values["bond_heartbeat_period"]))
        self._executor = DaemonExecutor("map")
        self._tf = TfListener(
            self,
            on_transforms=self._wake,
            on_clear=self._on_time_jump,
            on_refused=partial(self._on_refused_pose, "tf"),
        )
        encoder = QuestionEncoder(self, str(values["perception"]))
        self._control = MapControl(
            map_settings(values), _files(values), encoder, self._robot, name_bank=bool(values["name_bank"])
        )
        self._builder = MapBuilder(
            self._control,
            self._pose_source(values),
            self._correction,
            self._statistics,
            self._issues,
            float(values["pose_patience"]),
        )
        self._motion = PoseOdometry()
        # The last map_from_odom; None until there was one.
        self._odometry: RigidTransform | None = None
        self._inputs = self._create_inputs(values)
        self.create_subscription(
            LabelInfo,
            f"{values['perception']}/label_info",
            self._on_labels,
            latched_qos(),
            callback_group=MutuallyExclusiveCallbackGroup(),
        )
        self._outputs = MapOutputs(self, self._control, self._issues)
        self._map_services = MapServices(
            self, self._control, str(values["map_frame"]), lambda: self._map_state
        )
        self._look = LookAction(self, self._control, self._map_services)
        self._apply(values)
        self._node_parameters.handle_changes(self)
        self._diagnostics = Diagnostics(
            self, self._statuses, MutuallyExclusiveCallbackGroup(), diagnostics_period
        )
        self._create_timers(values)

    def _create_inputs(self, values: Values) -> dict[str, MapInputs]:
        colors = str(values["image_transport"]) if values["colors"] else ""
        return {
            name: MapInputs(
                self,
                name,
                str(values["perception"]),
                self._on_parts,
                self._on_malformed,
                slop=round(float(values["depth_slop"]) * 1e9),
                reliability=str(values["reliability"]),
                colors=colors,
                transforms=self._tf.tree,
            )
            for name in camera_names(values)
        }

    def _pose_source(self, values: Values) -> PoseSource:
        map_frame = str(values["map_frame"])
        if values["poses"] == "tf":
            return TransformPoses(self._tf.tree, map_frame)
        kind = str(values["poses"])
        sampled = SampledPoses(
            map_frame, transforms=self._tf.tree, on_refused=partial(self._on_refused_pose, kind)
        )
        subscribe_to_poses(self, kind, sampled, self._wake)
        return sampled

    def _create_timers(self, values: Values) -> None:
        steady = Clock(clock_type=ClockType.STEADY_TIME)

        def timer(period: float, callback: Any) -> Any:
            return self.create_timer(
                period, callback, callback_group=MutuallyExclusiveCallbackGroup(), clock=steady
            )

        self._publish_timer = timer(float(values["publish_period"]), self._publish)
        journal = float(values["journal_period"])
        if values["map"] and journal != _NO_JOURNAL:
            self._journal_timer = timer(journal, self._write)
        if values["autostart"]:
            self._autostart_timer = timer(0.0, self._autostart)

    def close(self) -> None:
        """Ends the threads and brings the map to the disk; to be called before ``destroy_node``."""
        self._bond.end()
        self._stop("finalized")
        self._look.close()
        self._control.close()
        self._executor.shutdown()

    # Lifecycle.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._map_state = "configuring"
        try:
            self._executor.run(self._open_map, self._shutdown)
        except PerceptionError as error:
            return self._fail(str(error))
        except Exception as error:
            return self._fail(f"internal error while loading the map: {error!r}")
        self._issues.clear("map")
        self._map_state = "inactive"
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        super().on_activate(state)
        self._map_state = "active"
        self._builder.start()
        for inputs in self._inputs.values():
            inputs.open()
        self._bond.start()
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop("inactive")
        self._write()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop("unconfigured")
        self._control.release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop("finalized")
        self._control.close()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Makes the node unconfigured, ready to be configured again."""
        self._stop("unconfigured")
        return SUCCESS

    def _open_map(self) -> None:
        name = str(self._node_parameters.values["map"])
        if name:
            self._control.open_named(name)

    def _fail(self, reason: str) -> TransitionCallbackReturn:
        self._issues.add("map", reason)
        self._map_state = "unconfigured"
        if self._autostarting:
            self._shutdown.set(reason)
        else:
            self.get_logger().error(reason)
        return FAILURE

    def _stop(self, state: str) -> None:
        """No frame is received or mapped any more once this returns."""
        self._bond.end()
        self._map_state = state
        for inputs in self._inputs.values():
            inputs.close()
        self._builder.stop()

    def _autostart(self) -> None:
        self._autostart_timer.cancel()
        self._autostarting = True
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()
        self._autostarting = False

    # Parameters.

    def apply(self, new: Values, old: Values) -> None:
        """Puts changed parameters in force; all of them have been checked."""
        self._apply(new)
        if new["publish_period"] != old["publish_period"]:
            self._publish_timer.timer_period_ns = round(float(new["publish_period"]) * 1e9)

    def applied(self, new: Values) -> None:
        """Nothing is left to do."""

    def refused(self, reason: str) -> None:
        self.get_logger().warning(reason)

    def _apply(self, values: Values) -> None:
        self._control.requests = request_settings(values)
        self._builder.max_rate = float(values["max_rate"])
        self._builder.set_patience(float(values["pose_patience"]))
        for inputs in self._inputs.values():
            inputs.assembler.slop = round(float(values["depth_slop"]) * 1e9)

    # Poses.

    def _robot(self) -> RigidTransform:
        values = self._node_parameters.values
        return self._tf.tree.lookup(str(values["map_frame"]), str(values["base_frame"]))

    def _correction(self, stamp: int, pose: RigidTransform) -> RigidTransform | None:
        """map_from_odom; by the motion of the only camera until odometry is published."""
        values = self._node_parameters.values
        odom = str(values["odom_frame"])
        try:
            found = self._tf.tree.lookup(str(values["map_frame"]), odom, stamp) if odom else None
        except PoseError:
            found = None
        if found is not None:
            if self._odometry is None:
                # What the motion was guessed to be says nothing of the odometry.
                self._control.restart_submaps()
            self._odometry = found
        if self._odometry is not None:
            return self._odometry
        return self._motion.map_from_odom(stamp, pose) if len(self._inputs) == 1 else None

    def _wake(self) -> None:
        self._builder.wake()

    def _on_refused_pose(self, topic: str, reason: str, message: str) -> None:
        self._on_malformed(f"{topic}_{reason}", f"{topic}: {message}")

    def _on_time_jump(self) -> None:
        self._issues.add("frames", "the clock jumped")
        self._builder.reset()
        for inputs in self._inputs.values():
            inputs.assembler.clear()

    # Frames.

    def _on_parts(self, inputs: MapInputs, parts: FrameParts) -> None:
        self._builder.submit(inputs.name, parts)

    def _on_labels(self, message: LabelInfo) -> None:
        names = {str(one.class_name) for one in message.class_map}
        self._builder.labels = frozenset(names - {UNLABELLED_NAME})

    def _on_malformed(self, reason: str, message: str) -> None:
        if self._statistics.malformed(reason, message) == 1:
            self.get_logger().warning(message)

    def _publish(self) -> None:
        if self._map_state != "active":
            return
        values = self._node_parameters.values
        try:
            self._outputs.publish(
                self._map_services.header(),
                [str(text) for text in values["queries"]],
                int(values["max_cloud_points"]),
                str(values["object_frames"]),
                self._map_services.found,
            )
        except PerceptionError as error:
            self._issues.add("map", str(error))

    def _write(self) -> None:
        try:
            self._control.write_changes()
            self._issues.clear("storage")
        except PerceptionError as error:
            self._issues.add("storage", str(error))

    # Diagnostics.

    def _statuses(self, name: str) -> list[DiagnosticStatus]:
        own, issues = self._control.map, {}
        for kind in _ISSUES:
            if text := self._issues.last(kind):
                issues[kind] = text
        if own.frame_problem:
            issues["poses"] = own.frame_problem
        if own.surface_problem:
            issues["surface"] = own.surface_problem
        if self._control.problem:
            issues["names"] = self._control.problem
        figures = self._control.figures()
        report = MapReport(
            self._map_state,
            [self._camera_report(one) for one in self._inputs.values()],
            self._statistics.snapshot(),
            self._builder.report(),
            figures,
            issues,
            0 if own.voxels is None else own.voxels.evicted,
        )
        return [status_message(name, map_findings(report), name, map_values(report))]

    def _camera_report(self, inputs: MapInputs) -> CameraReport:
        missing = [one.topic for one in inputs.topics if one.is_open and not one.publishers()]
        silent = inputs.silent(SILENT)
        return CameraReport(
            inputs.name,
            inputs.calibrated,
            missing,
            [line for one in inputs.topics for line in one.incompatible_publishers()],
            inputs.assembler.counts,
            inputs.assembler.without_depth,
            [one for one in silent if one not in missing],
            len(silent) == inputs.streams,
        )


def _files(values: Values) -> MapFiles:
    return MapFiles(
        MapFolder(),
        str(values["map_frame"]),
        privacy=privacy(values),
        retention=retention(values),
        snapshot_period=float(values["snapshot_period"]),
    )


def main(args: Sequence[str] | None = None) -> None:
    """Runs the node."""
    settle_threads(patient=True)
    exit_process(run_node(MapNode, NAME, args))


if __name__ == "__main__":
    main()
