"""Nodes that are told to stop while they still import: exit code 0 and no traceback."""

from __future__ import annotations

import signal

import pytest
from interrupted_imports import interrupted_imports

pytest.importorskip("rclpy")
pytestmark = pytest.mark.ros

COMMAND = "from {0}.nodes.node_commands import {1}; {1}()"
PROGRAMS = {
    "perception_node": ["-m", "perception_contrast.nodes.perception_node"],
    "bag_player": ["-m", "perception_contrast.nodes.bag_player"],
    "sim_camera": ["-m", "perception_contrast_sim.nodes.sim_camera"],
    "perception_node command": ["-c", COMMAND.format("perception_contrast", "perception_node")],
    "bag_player command": ["-c", COMMAND.format("perception_contrast", "bag_player")],
    "sim_camera command": ["-c", COMMAND.format("perception_contrast_sim", "sim_camera")],
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("imports", [3, 200])
def test_a_signal_while_a_node_imports_ends_it_quietly(
    program: str, number: signal.Signals, imports: int
) -> None:
    assert interrupted_imports(PROGRAMS[program], number, imports) == (0, [])
