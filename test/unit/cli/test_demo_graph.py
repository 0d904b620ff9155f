"""What a demo would start: sources, topics, parameters, domains."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import yaml

from perception_contrast.cli import main
from perception_contrast.cli.demo import demo_command as demo
from perception_contrast.cli.demo import demo_graph as graph
from perception_contrast.core.errors import PerceptionError


def source_of(*words: str, topic: str | None = None) -> graph.Source:
    return graph.make_source(words, seed=3, offline=True, topic=topic)


def test_the_simulated_camera_gets_its_seed() -> None:
    source = source_of("sim")
    assert source.program.parameters == {"seed": 3, "offline": True}
    assert (source.topic, source.compressed, source.stamped_live) == ("/camera/color/image_raw", False, True)


def test_a_bag_of_compressed_images_is_read_compressed(shared: Path) -> None:
    source = source_of("bag", str(shared / "data" / "kitchen_rgbd"))
    assert source.compressed and not source.stamped_live
    assert source.base == "/camera/color/image_raw" and source.topic == source.base + "/compressed"
    assert source.program.remappings == {}
    assert set(source.program.parameters["topics"]) == {
        "/camera/color/image_raw/compressed",
        "/camera/color/camera_info",
        "/camera/depth/image_rect_raw",
        "/camera/depth/camera_info",
        "/tf",
    }


def test_a_compressed_topic_with_a_name_of_its_own_is_renamed(shared: Path) -> None:
    bag = str(shared / "data" / "recorded_rosbag2")
    assert source_of("bag", bag, topic="/image").base == "/image"
    source = source_of("bag", bag, topic="/compressed_image")
    assert source.compressed and source.topic == f"{source.base}/compressed"
    assert source.program.remappings == {"/compressed_image": source.topic}


def test_a_topic_without_images_is_refused_with_those_that_have_some(shared: Path) -> None:
    with pytest.raises(PerceptionError, match=r"/compressed_image.*/imu"):
        source_of("bag", str(shared / "data" / "recorded_rosbag2"), topic="/imu")


@pytest.mark.parametrize("words", [("bag", "no/such"), ("video", "no.mp4"), ("images", "nowhere"), ("bag",)])
def test_a_missing_source_is_one_line_and_exit_code_2(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["demo", "--source", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.parametrize(
    "argv",
    [["--source", "radar"], ["--source", "sim", "a", "b"], ["--duration", "0"], ["--duration", "soon"]],
)
def test_wrong_options_are_refused_before_anything_starts(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        demo.main(argv)
    assert stop.value.code == 2


def test_demo_queries_the_command_line() -> None:
    source = source_of("sim")
    assert demo.demo_queries(" red mug, chair: seat; armchair,", source) == [
        "red mug",
        "chair: seat; armchair",
    ]
    assert demo.demo_queries(None, source) == list(source.queries)
    with pytest.raises(PerceptionError):
        demo.demo_queries(" , ", source)


def test_parameters_survive_the_way_through_a_file(tmp_path: Path) -> None:
    parameters = {"queries": ['it\'s: a "cup"; été', "no"], "short_side": 224, "offline": False}
    words = graph.Program("perception_node", parameters, {"image": "/a"}).command(tmp_path)
    assert words[-2:] == ["-r", "image:=/a"]
    written = yaml.safe_load(Path(words[words.index("--params-file") + 1]).read_text(encoding="utf-8"))
    assert written == {"/**": {"ros__parameters": parameters}}


def test_a_domain_in_use_is_seen() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("0.0.0.0", 0))
        assert not graph.is_port_free(holder.getsockname()[1])
    assert 1 <= graph.free_domain() <= 101


def test_children_stay_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    values = graph.environment(42)
    assert (values["ROS_DOMAIN_ID"], values["ROS_AUTOMATIC_DISCOVERY_RANGE"]) == ("42", "LOCALHOST")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    assert graph.environment(42)["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SUBNET", "a choice of the user stays"
