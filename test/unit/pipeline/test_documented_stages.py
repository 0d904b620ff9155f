"""Every stage that is timed is one that docs/ros_interface.md names."""

from __future__ import annotations

import re
from pathlib import Path


def test_every_timed_stage_is_documented(repository: Path) -> None:
    sources = [path.read_text("utf-8") for path in (repository / "perception_contrast").rglob("*.py")]
    timed = {name for text in sources for name in re.findall(r"\bstage\(\s*\"(\w+)\"\s*\)", text)}
    assert {"arrival", "preprocess", "postprocess", "proposals", "track", "draw"} <= timed
    latency = (repository / "docs" / "ros_interface.md").read_text("utf-8").partition("## Latency")[2]
    assert {name for name in timed if f"`{name}`" not in latency} == set()
