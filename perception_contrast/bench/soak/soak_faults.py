"""Faults, each with what diagnostics must report of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from perception_contrast_msgs.msg import Query
from perception_contrast_msgs.srv import SetQueries
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter

from perception_contrast.bench.soak.soak_camera import ENCODINGS, MALFORMED, SIZES
from perception_contrast.bench.soak.soak_graph import NODES, SoakError, SoakGraph

SILENCE = 4.0  # seconds; a camera counts as silent from 3 on


@dataclass(frozen=True)
class Fault:
    """inject: returns once diagnostics reported it. camera: whose next good frame must have its result."""

    name: str
    inject: Callable[[SoakGraph], None]
    camera: str = "front"


def faults() -> list[Fault]:
    made = [
        Fault(f"malformed: {name}", _malformed("front", name, one.reason)) for name, one in MALFORMED.items()
    ]
    made += [
        Fault("truncated JPEG", _malformed("jpeg", "truncated_jpeg", "truncated"), "jpeg"),
        Fault("no JPEG at all", _malformed("jpeg", "no_jpeg", "bad_compressed"), "jpeg"),
        Fault("engine exception", _counted("front", "explodes", "worker/errors"), "rear"),
        Fault("stamp of zero", _counted("rear", "good", "stamps/zero", lambda: 0), "rear"),
        Fault("stamp of the future", _counted("rear", "good", "stamps/future", _tomorrow), "rear"),
        Fault("time jumps back", _counted("front", "good", "stamps/jumps_back", _yesterday)),
        Fault("encodings change", _all_kinds(ENCODINGS)),
        Fault("resolutions change", _all_kinds(tuple(SIZES))),
        Fault("subscribers come and go", lambda graph: graph.resubscribe(10)),
        Fault("storm of parameters", _parameters),
        Fault("changes of vocabulary", _vocabulary),
        Fault("deactivated and activated", _lifecycle),
        Fault("camera stopped by SIGSTOP", _camera_frozen),
        Fault("camera gone and back", _camera_unplugged),
    ]
    return made


def storms() -> list[Fault]:
    """Those that need no other camera than "front" and leave the node's state as it was."""
    quick = ("malformed", "encodings", "resolutions", "subscribers", "storm", "changes of")
    return [one for one in faults() if one.camera == "front" and one.name.startswith(quick)]


def _tomorrow() -> int:
    return time.time_ns() + 3600 * 10**9


def _yesterday() -> int:
    return time.time_ns() - 86400 * 10**9


def _wait_for_count(graph: SoakGraph, camera: str, key: str, repeat: Callable[[], object]) -> None:
    """Repeats until a count in diagnostics has grown: a newer frame may take the place of any one."""
    before = int(graph.camera_status(camera).get(key, "0"))

    def counted() -> bool:
        repeat()
        time.sleep(0.01)
        return int(graph.camera_status(camera).get(key, "0")) > before

    graph.wait(counted, f"'{key}' of {camera} in diagnostics")


def _malformed(camera: str, kind: str, reason: str) -> Callable[[SoakGraph], None]:
    def inject(graph: SoakGraph) -> None:
        _wait_for_count(graph, camera, f"malformed/{reason}", lambda: graph.send(camera, kind))
        graph.wait(
            lambda: "malformed input: " in graph.camera_status(camera)["message"],
            "the message of malformed input",
        )

    return inject


def _counted(
    camera: str, kind: str, key: str, stamp: Callable[[], int] = time.time_ns
) -> Callable[[SoakGraph], None]:
    return lambda graph: _wait_for_count(graph, camera, key, lambda: graph.send(camera, kind, stamp()))


def _all_kinds(kinds: tuple[str, ...]) -> Callable[[SoakGraph], None]:
    def inject(graph: SoakGraph) -> None:
        errors = graph.camera_status("front")["worker/errors"]
        for kind in kinds:
            for _ in range(5):
                graph.send("front", kind)
                time.sleep(0.02)
        if graph.camera_status("front")["worker/errors"] != errors:
            raise SoakError(f"one of {', '.join(kinds)} could not be processed")

    return inject


def _set(graph: SoakGraph, values: Mapping[str, Any]) -> bool:
    parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
    service = f"{NODES['raw']}/set_parameters_atomically"
    return bool(graph.call(SetParametersAtomically, service, parameters=parameters).result.successful)


def _parameters(graph: SoakGraph) -> None:
    before = int(graph.status()["parameters/refused"])
    for number in range(20):
        good = {"mask_threshold": 0.1 + 0.01 * number, "camera_weights": [1.0, 1.0 + number % 3]}
        if not _set(graph, good) or _set(graph, good | {"outputs": ["nonsense"]}):
            raise SoakError("a set of parameters was refused that is good, or taken that is not")
    _set(graph, {"mask_threshold": 0.0, "camera_weights": [1.0]})
    graph.wait(lambda: int(graph.status()["parameters/refused"]) >= before + 20, "refused parameters")


def _vocabulary(graph: SoakGraph) -> None:
    before = int(graph.status()["vocabulary/refused"])
    service = f"{NODES['raw']}/set_queries"
    for number in range(10):
        queries = [Query(label="cup"), Query(label="table"), Query(label=f"thing {number % 4}")]
        if not graph.call(SetQueries, service, queries=queries).success:
            raise SoakError("a change of the vocabulary was refused that is good")
        if graph.call(SetQueries, service, queries=[queries[0], queries[0]]).success:
            raise SoakError("a label was taken twice")
    graph.wait(lambda: int(graph.status()["vocabulary/refused"]) >= before + 10, "refused vocabularies")


def _lifecycle(graph: SoakGraph) -> None:
    service = f"{NODES['raw']}/change_state"
    for transition, state in (
        (Transition.TRANSITION_DEACTIVATE, "inactive"),
        (Transition.TRANSITION_ACTIVATE, "active"),
    ):
        if not graph.call(ChangeState, service, transition=Transition(id=transition)).success:
            raise SoakError(f"the node did not become {state}")
        graph.wait(partial(_is_in, graph, state), f"state {state}")
    graph.wait(
        lambda: graph.camera_status("front")["input/listening"] == "true", "the camera to be read again"
    )


def _is_in(graph: SoakGraph, state: str) -> bool:
    return graph.status()["state"] == state


def _camera_frozen(graph: SoakGraph) -> None:
    graph.signal_camera(signal.SIGSTOP)
    try:
        graph.wait(
            lambda: "no image on" in graph.camera_status("front")["message"], "a silent camera", SILENCE * 3
        )
    finally:
        graph.signal_camera(signal.SIGCONT)


def _camera_unplugged(graph: SoakGraph) -> None:
    graph.stop_camera()
    # Its participant is missed once its lease has ended, or its silence is noticed before.
    graph.wait(
        lambda: any(
            one in graph.camera_status("front")["message"] for one in ("no image on", "no publisher on")
        ),
        "a camera that is gone",
        SILENCE * 10,
    )
    graph.start_camera()
    graph.wait(lambda: float(graph.camera_status("front")["age/newest_s"]) > 0.0, "diagnostics")
    _wait_for_cameras(graph)


def _wait_for_cameras(graph: SoakGraph) -> None:
    """Sends until each camera's frames arrive: a new process has to be discovered first."""
    for camera in ("front", "rear", "jpeg"):
        kind = "good_jpeg" if camera == "jpeg" else "good"
        _wait_for_count(graph, camera, "frames/in", partial(graph.send, camera, kind))
