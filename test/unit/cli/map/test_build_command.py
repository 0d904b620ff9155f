"""What `perception-contrast map SOURCE` refuses before it loads models, and what it saves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from map_frames import CAMERA, FORWARD, wall

from perception_contrast.cli.map import build_command, map_run
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame, PosedFrame
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.map_settings import MapSettings
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast.memory.memory_store import MemoryStore


class Source:
    """One frame in a frame called world."""

    map_frame = "world"

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()

    def count(self) -> int:
        return 1

    def __iter__(self) -> Iterator[PosedFrame]:
        image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
        yield PosedFrame(Frame(image, 1, "camera", wall(2.0), CAMERA), FORWARD)


class Run(map_run.MapRun):
    """Without models."""

    @classmethod
    def of_options(cls, *_: Any) -> Run:
        return cls(None, MapSettings(surface_voxel=0.0))  # type: ignore[arg-type]

    def __exit__(self, *_: object) -> None:
        self.close_files()

    def add(self, posed: PosedFrame, number: int) -> None:
        frame = posed.frame
        self.take(MapFrame(frame.stamp, "front", frame.camera, frame.depth, posed.pose, frame.image), number)

    def answers(self) -> dict[str, Any]:
        return {}


@pytest.fixture(autouse=True)
def maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_MAPS", str(tmp_path / "maps"))
    monkeypatch.setattr(build_command, "opened_source", lambda _: Source())
    monkeypatch.setattr(map_run, "MapRun", Run)


def test_a_map_is_saved_in_the_frame_of_its_source_and_none_is_overwritten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert build_command.main(["recording", "--query", "mug", "--save", "lab"]) == 0
    saved = MapFolder().load("lab").header
    assert saved.frame == "world" and saved.calibration["front"]["fx"] == CAMERA.fx
    with MemoryStore(MapFolder().memory_path("lab"), read_only=True) as memory:
        assert [one.camera for one in memory.keyframes()] == ["front"]
    monkeypatch.setattr(build_command, "opened_source", lambda _: pytest.fail("it has begun"))
    with pytest.raises(PerceptionError, match="there is a map 'lab' already"):
        build_command.main(["recording", "--query", "mug", "--save", "lab"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to look for"),
        (["--query", "mug", "--voxel", "2"], "--voxel"),
        (["--query", "mug", "--max-range", "nan"], "--max-range"),
        (["--query", "mug", "--save", "../lab"], "not a name"),
        (["--query", "mug", "--picture", f"{__file__}/map.png"], "is a file; choose another"),
        (["--query", "mug", "--picture", "."], "is a folder"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(arguments: list[str], said: str) -> None:
    with pytest.raises(PerceptionError, match=said):
        build_command.main(["recording", *arguments])


def test_the_folder_of_a_report_is_made(tmp_path: Path) -> None:
    report = tmp_path / "new" / "report.json"
    assert build_command.main(["recording", "--query", "mug", "--report", str(report)]) == 0
    assert report.is_file()
