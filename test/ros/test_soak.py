"""The soak in short: nodes with a scripted pipeline live through every fault; one that does not is found."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from perception_contrast.bench.soak.configuration_run import (
    ConfigurationOptions,
    check_growth,
    run_configurations,
)
from perception_contrast.bench.soak.soak_faults import faults
from perception_contrast.bench.soak.soak_graph import SoakError, SoakGraph
from perception_contrast.bench.soak.soak_run import Options, run_soak
from perception_contrast.cli.demo.demo_graph import free_domain

pytestmark = [pytest.mark.ros, pytest.mark.slow]
# The double keeps every frame, which would be the very growth that is looked for.
PROGRAM = """
from collections import deque  # noqa: E402
import ros_double  # noqa: E402
from perception_contrast.bench.soak.soak_node import main  # noqa: E402
def build(**arguments):
    pipeline = ros_double.build(**arguments)
    pipeline.processed = deque(maxlen=4)
    return pipeline
main(build)
"""


def options(**changes: object) -> Options:
    path = os.pathsep.join(
        [str(Path(__file__).resolve().parents[1] / "support"), os.environ.get("PYTHONPATH", "")]
    )
    environment = {**os.environ, "ROS_DOMAIN_ID": str(free_domain()), "PYTHONPATH": path}
    return Options([sys.executable, "-c", PROGRAM], environment, ["-p", "model:=scripted"], **changes)


def test_every_fault_is_told_and_survived_and_leaves_no_memory_behind() -> None:
    survived = run_soak(options(seconds=12.0, between=0.05))
    assert set(survived.resumed) == {fault.name for fault in faults()}
    assert survived.frames > 100


def test_a_node_that_dies_is_found() -> None:
    with_ = options()
    graph = SoakGraph(with_.node, with_.arguments, with_.environment)
    try:
        graph.wait_until_ready(60.0)
        graph.processes["raw"].kill()
        with pytest.raises(SoakError, match="'raw' ended"):
            graph.seconds_to_result("front")
    finally:
        graph.close()


# Each pipeline that was ever built stays, as through one reference that was forgotten.
LEAKING = """
import sys, threading  # noqa: E402
from perception_contrast.bench.soak import configuration_node, soak_node  # noqa: E402
kept = []
def build(**arguments):
    kept.append(configuration_node._build(**arguments))
    return kept[-1]
threading.Thread(target=configuration_node._answer, daemon=True).start()
soak_node.main(build)
"""


@pytest.mark.parametrize("leaks", [False, True])
def test_memory_stays_over_new_configurations_and_a_leak_is_found(leaks: bool) -> None:
    environment = {**os.environ, "ROS_DOMAIN_ID": str(free_domain()), "OMP_NUM_THREADS": "1"}
    engines = [("torch", "fp32")] if leaks else [("onnxruntime", "int8"), ("torch", "bf16"), ("auto", "auto")]
    options = ConfigurationOptions(environment, configurations=6 if leaks else 18, engines=engines)
    if leaks:
        options = replace(options, node=[sys.executable, "-c", LEAKING])
    readings = run_configurations(options)
    if not leaks:
        check_growth(readings)
        return
    with pytest.raises(SoakError, match="memory grows"):
        check_growth(readings)
