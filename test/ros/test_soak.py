"""The soak in short: nodes with a scripted pipeline live through every fault; one that does not is found."""

from __future__ import annotations

import os
import sys
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


def test_memory_stays_over_new_configurations_and_storms() -> None:
    """That a leak is found is asserted of the readings, in test_memory_curve."""
    environment = {**os.environ, "ROS_DOMAIN_ID": str(free_domain()), "OMP_NUM_THREADS": "1"}
    engines = [("onnxruntime", "int8"), ("torch", "bf16"), ("auto", "auto")]
    check_growth(run_configurations(ConfigurationOptions(environment, 18, engines, storms=2)))
