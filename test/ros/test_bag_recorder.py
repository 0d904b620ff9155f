"""What the studio records of a running camera, read back by rosbags."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("nicegui")

import ros_camera
from ros_graph import wait_for
from rosbags.highlevel import AnyReader

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.robot import bag_recorder
from perception_contrast_studio.robot.bag_recorder import BagRecorder, RecordedTopics

pytestmark = pytest.mark.ros
TOPICS = RecordedTopics("/raw/image", "/node/detections", "/node/label_info")


@pytest.fixture(scope="module")
def camera() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, ros_camera.__file__], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"good\n")
    process.stdin.flush()
    yield
    process.stdin.close()
    process.wait(20.0)


def test_a_recording_holds_the_images_as_they_were_sent(camera: None, tmp_path: Path) -> None:
    recorder = BagRecorder(tmp_path / "bag", TOPICS, [])
    wait_for(lambda: recorder.state.messages >= 5, "five images")
    assert not (tmp_path / "bag").exists()
    state = recorder.stop()
    assert state.ended and not state.problem and not state.lost
    with AnyReader([tmp_path / "bag"]) as reader:
        assert {one.topic for one in reader.connections} == {
            TOPICS.images,
            TOPICS.detections,
            TOPICS.labels,
        }
        messages = list(reader.messages())
        assert len(messages) == state.messages
        image = reader.deserialize(messages[0][2], messages[0][0].msgtype)
    sent = ros_camera.raw()
    assert bytes(image.data) == bytes(sent.data) and image.header.stamp.sec == sent.header.stamp.sec


def test_a_recording_ends_by_itself_before_the_disk_is_full(
    camera: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = BagRecorder(tmp_path / "bag", TOPICS, [])
    monkeypatch.setattr(bag_recorder, "free_bytes", lambda _: 0)
    wait_for(lambda: recorder.state.ended, "the end")
    assert "less than 1 GB free" in recorder.state.problem
    assert (tmp_path / "bag").is_dir()
    with pytest.raises(PerceptionError, match="less than 1 GB"):
        BagRecorder(tmp_path / "another", TOPICS, [])


def test_a_camera_that_does_not_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bag_recorder, "DISCOVERY_SECONDS", 0.3)
    with pytest.raises(PerceptionError, match="nobody publishes images on /silent"):
        BagRecorder(tmp_path / "bag", RecordedTopics("/silent", "/d", "/l"), [])
