"""Recordings that people reported: every reader gives the same images of each, and says what was lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from recording_readers import READERS, REFUSING, Reading, frame_source, told

pytest.importorskip("rosbags")

CASES = {
    "apple_double": "",
    "depth_cd_rvl": "",
    "depth_mono16": "",
    "first_bad": "unknown_encoding 1",
    "info_zero_first": "",
    "mixed_json": "'/status' is left out: 1 message(s)",
    "msgzstd_mcap": "",
    "qos_garbage": "",
    "qos_partial": "",
    "short_type_name": "",
    "split_missing": "'split_missing_1.mcap' is listed",
    "static_late": "",
}
"""Each case with what must be said of its loss."""

FRAMES = 6
PLAYERS = ("bag_player", "demo")
"""They publish messages as they are: what cannot be decoded is counted by whoever decodes it."""

Read = Callable[[Path, Path], Reading]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reader", [name for name in READERS if name not in PLAYERS])
def test_every_reader_gives_the_same_images(cases: Path, tmp_path: Path, case: str, reader: str) -> None:
    reading = READERS[reader](cases / case, tmp_path)
    assert len(reading.frames) == FRAMES, reading.said
    assert reading.frames == frame_source(cases / case, tmp_path).frames
    if CASES[case]:
        assert any(CASES[case] in line for line in told(reading.said)), reading.said
    else:
        assert not [line for line in told(reading.said) if "kept;" not in line]
    if reader == "data extract, training":
        expected = {"static_late": "pose", "info_zero_first": "camera", "depth_mono16": "depth"}
        assert {name for name, count in reading.beside.items() if count == FRAMES} == (
            {expected[case]} if case in expected else set()
        )


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reader", PLAYERS)
def test_what_is_played_is_what_is_read(cases: Path, tmp_path: Path, case: str, reader: str) -> None:
    reading = READERS[reader](cases / case, tmp_path)
    assert reading.frames == frame_source(cases / case, tmp_path).frames, reading.said
    assert reading.beside["undecodable"] == (1 if case == "first_bad" else 0)
    if CASES[case] and case != "first_bad":
        assert any(CASES[case] in line for line in told(reading.said)), reading.said


@pytest.mark.parametrize("reader", [name for name in READERS if name not in PLAYERS])
def test_ros1_is_told_with_its_conversion(cases: Path, tmp_path: Path, reader: str) -> None:
    reading = READERS[reader](cases / "ros1_in_mcap", tmp_path)
    assert reading.frames == () and "ROS 1" in reading.said and "rosbags-convert --src" in reading.said


@pytest.mark.ros
@pytest.mark.parametrize("reader", PLAYERS)
def test_ros1_is_not_played(cases: Path, tmp_path: Path, reader: str) -> None:
    test_ros1_is_told_with_its_conversion(cases, tmp_path, reader)


@pytest.mark.parametrize("reader", REFUSING)
def test_what_takes_no_recording_says_what_it_takes(cases: Path, tmp_path: Path, reader: str) -> None:
    reading = REFUSING[reader](cases / "static_late", tmp_path)
    assert reading.frames == () and "is a recording" in reading.said
    assert ("data extract" if reader == "train" else "labelled images") in reading.said.replace("\n", " ")
