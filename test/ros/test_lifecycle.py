"""perception_node's life: not active yet, models that fail to load, signals and exit codes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

rclpy = pytest.importorskip("rclpy")

import ros_double  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from perception_contrast_msgs.srv import EmbedText, GetQueries  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_graph import Client, Serving, wait_for  # noqa: E402

from perception_contrast.nodes.perception_node import PerceptionNode  # noqa: E402
from perception_contrast.ros.parameters.node_parameters import SPECS  # noqa: E402
from perception_contrast.ros.parameters.parameter_spec import ParameterError  # noqa: E402

pytestmark = pytest.mark.ros
NODE = "/idle/perception_node"
PROGRAM = """
import ros_double  # noqa: E402
from perception_contrast.nodes.perception_node import NAME, PerceptionNode  # noqa: E402
from perception_contrast.ros.node.run_node import exit_process, run_node  # noqa: E402
exit_process(run_node(lambda shutdown: PerceptionNode(shutdown, build=ros_double.build), NAME))
"""


@pytest.fixture(scope="module")
def idle() -> Iterator[tuple[Client, Serving]]:
    rclpy.init()
    client, serving = Client(), Serving("/idle", autostart=False)
    yield client, serving
    serving.close()
    client.close()
    rclpy.shutdown()


def change(client: Client, transition: int) -> bool:
    return client.call(ChangeState, f"{NODE}/change_state", transition=Transition(id=transition)).success


def state(client: Client) -> str:
    return client.call(GetState, f"{NODE}/get_state").current_state.label


def set_model(client: Client, name: str) -> object:
    parameter = Parameter("model", value=name).to_parameter_msg()
    return client.call(SetParameters, f"{NODE}/set_parameters", parameters=[parameter]).results[0]


def test_a_managed_node_walks_through_its_states(idle) -> None:
    client, serving = idle
    answer = client.call(GetQueries, f"{NODE}/get_queries")
    assert not answer.success and "not active" in answer.message and "unconfigured" in answer.message
    assert set_model(client, "unknown").successful
    assert not change(client, Transition.TRANSITION_CONFIGURE)
    assert state(client) == "unconfigured"
    values = client.wait_diagnostics("idle/perception_node", "level", lambda level: level == "2")
    assert "model 'unknown' is not known" in values["message"]
    assert set_model(client, "scripted").successful
    assert change(client, Transition.TRANSITION_CONFIGURE)
    first = serving.pipeline()
    assert set_model(client, "another").successful
    wait_for(lambda: serving.pipeline() is not first and first.closed, "the other model")
    assert "inactive" in client.call(EmbedText, f"{NODE}/embed_text", texts=["mug"]).message
    assert change(client, Transition.TRANSITION_ACTIVATE)
    assert client.call(GetQueries, f"{NODE}/get_queries").success
    assert change(client, Transition.TRANSITION_DEACTIVATE)
    assert not client.call(GetQueries, f"{NODE}/get_queries").success
    assert change(client, Transition.TRANSITION_CLEANUP)
    assert set_model(client, "another").successful


def test_a_transition_that_is_not_possible_is_answered_and_ends_nothing(idle) -> None:
    client, _ = idle
    assert state(client) == "unconfigured"
    assert not change(client, Transition.TRANSITION_ACTIVATE)
    assert state(client) == "unconfigured"


@pytest.mark.parametrize(
    "values",
    [{"max_detections": 0}, {"max_detections": "many"}, {"max_rate": float("inf")}, {"reliability": "often"}],
)
def test_a_start_value_that_is_refused_is_named(idle, values: dict[str, object]) -> None:
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    with pytest.raises(ParameterError, match=next(iter(values))):
        PerceptionNode(build=ros_double.build, parameter_overrides=overrides)


def start(*parameters: str) -> subprocess.Popen[str]:
    arguments = [word for one in parameters for word in ("-p", one)]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--ros-args", *arguments],
        cwd=(Path(__file__).resolve().parents[1] / "support"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def started() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Nodes in processes of their own, started together to save time."""
    processes = {
        "running": start("model:=scripted", "max_rate:=5.0"),
        "loading": start("model:=slow"),
        "unknown model": start("model:=unknown"),
        "bad argument": start("model"),
        "bad query": start("model:=scripted", "queries:=[': no label']"),
    }
    yield processes
    for process in processes.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("name", "sign", "number"),
    [
        ("running", "loaded in", signal.SIGINT),
        ("loading", "loading", signal.SIGTERM),
    ],
)
def test_a_signal_ends_the_node_cleanly(started, name: str, sign: str, number: signal.Signals) -> None:
    process = started[name]
    while (line := process.stderr.readline()) and sign not in line:
        pass
    assert line, "the node ended early"
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "Traceback" not in said and "rror" not in said


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unknown model", "perception_node: model 'unknown' is not known; the nearest name is 'scripted'"),
        ("bad argument", "perception_node: failed to initialize rcl"),
        ("bad query", "perception_node: query ': no label' has no label"),
    ],
)
def test_a_start_that_fails_says_why_in_one_line(started, name: str, expected: str) -> None:
    _, said = started[name].communicate(timeout=60)
    lines = [
        line for line in said.splitlines() if line.strip() and "[INFO]" not in line and "[rcl]" not in line
    ]
    assert len(lines) == 1, said
    assert lines[0].startswith(expected)
    assert started[name].returncode == 1


def test_the_parameter_file_lists_every_parameter_with_its_default(repository: Path) -> None:
    text = (repository / "config/perception_node.yaml").read_text()
    listed = yaml.safe_load(text)["/**"]["ros__parameters"]
    defaults = {s.name: list(s.default) if isinstance(s.default, tuple) else s.default for s in SPECS}
    assert listed == defaults
    assert {name: type(value) for name, value in listed.items()} == {
        name: type(value) for name, value in defaults.items()
    }
    table = (repository / "docs/ros_interface.md").read_text()
    assert all(f"| `{name}` |" in table for name in defaults)
