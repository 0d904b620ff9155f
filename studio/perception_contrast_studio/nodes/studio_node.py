"""`ros2 run perception_contrast_studio studio`: the studio of the robot that it runs on."""

from __future__ import annotations

import sys

from perception_contrast.cli.main import main as run_command


def main() -> int:
    """As ``perception-contrast studio --robot``, with the same options before ``--ros-args``."""
    return run_command(["studio", "--robot", "--no-browser", *sys.argv[1:]])
