"""The launch files: what their arguments say and do, read without ROS, and through launch where it is."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from launch_double import LaunchFile

NAMES = ("perception", "demo", "bag", "map")


@pytest.fixture(scope="module")
def files(repository: Path) -> dict[str, LaunchFile]:
    return {name: LaunchFile(repository / "launch" / f"{name}.launch.py") for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_is_described_and_has_a_default_that_it_may_have(
    files: dict[str, LaunchFile], name: str
) -> None:
    declared = files[name].of("DeclareLaunchArgument")
    arguments = files[name].arguments()
    assert len(declared) == len(arguments) > 10
    for argument, one in arguments.items():
        assert one.description.endswith(".") and len(one.description) > 10, argument
        assert one.choices is None or one.default in one.choices, argument


@pytest.mark.parametrize("name", ["demo", "bag", "map"])
def test_what_is_passed_on_is_what_perception_takes(files: dict[str, LaunchFile], name: str) -> None:
    taken = files["perception"].arguments()
    (include,) = files[name].of("IncludeLaunchDescription")
    passed = {argument for argument, _ in include.named["launch_arguments"]}
    assert "queries" in passed and passed <= taken.keys()
    for argument in passed & files[name].arguments().keys():
        choices, ours = taken[argument].choices, files[name].arguments()[argument]
        assert choices is None or ours.default in choices, argument


@pytest.mark.ros
def test_parameters_are_those_of_the_nodes(files: dict[str, LaunchFile]) -> None:
    from perception_contrast.nodes import bag_player
    from perception_contrast.ros.mapping import map_parameters
    from perception_contrast.ros.parameters.node_parameters import SPECS
    from perception_contrast_sim.nodes import sim_camera

    known = {spec.name for spec in SPECS} | {"use_sim_time"}
    perception = files["perception"].module
    assert {*perception.PARAMETERS, *perception.FLAGS} <= known
    mapped = {spec.name for spec in map_parameters.SPECS} | {"use_sim_time"}
    assert set(files["map"].module.PARAMETERS) <= mapped
    assert set(files["demo"].module.TYPES) <= {spec.name for spec in sim_camera.SPECS}
    assert set(files["bag"].module.TYPES) <= {spec.name for spec in bag_player.SPECS}
    for spec in SPECS:
        given = files["perception"].arguments().get(spec.name)
        if given and given.choices and spec.choices:
            assert set(given.choices) <= {"", *spec.choices}


def test_nothing_given_leaves_parameters_to_the_file(files: dict[str, LaunchFile], repository: Path) -> None:
    (node,) = files["perception"].nodes()
    assert node["parameters"] == [str(repository / "config" / "perception_node.yaml"), {}]
    assert node["name"] == "perception_node" and node["executable"] == "perception_node"
    assert ("image", "image") in node["remappings"] and not node["respawn"]


def test_what_is_given_comes_after_the_preset_and_that_after_the_file(files: dict[str, LaunchFile]) -> None:
    (node,) = files["perception"].nodes(
        preset="cpu",
        queries="mug, seat: a sofa; a chair,",
        offline="true",
        log_level="debug",
        image="/c/image",
    )
    first, preset, given = node["parameters"]
    assert first.endswith("config/perception_node.yaml") and preset.endswith("config/presets/cpu.yaml")
    assert given == {"queries": ["mug", "seat: a sofa; a chair"], "offline": True}
    assert ("image", "/c/image") in node["remappings"]
    assert node["ros_arguments"] == ["--log-level", "debug"]


def test_cameras_in_one_process_share_a_node(files: dict[str, LaunchFile]) -> None:
    (node,) = files["perception"].nodes(
        cameras="front, left", image="/{camera}/color/image_raw", namespace="/r"
    )
    assert node["parameters"][-1] == {"cameras": ["front", "left"]} and node["namespace"] == "/r"
    assert node["remappings"] == [
        ("front/image", "/front/color/image_raw"),
        ("left/image", "/left/color/image_raw"),
    ]


def test_cameras_in_processes_of_their_own_have_a_namespace_each(files: dict[str, LaunchFile]) -> None:
    front, left = files["perception"].nodes(
        cameras="front,left", processes="each", image="/{camera}/color/image_raw", namespace="/r"
    )
    assert (front["namespace"], left["namespace"]) == ("/r/front", "/r/left")
    assert ("image", "/left/color/image_raw") in left["remappings"]
    assert "cameras" not in left["parameters"][-1]


def test_the_studio_comes_when_it_is_asked_for(files: dict[str, LaunchFile]) -> None:
    from perception_contrast_studio.cli.studio_command import parser

    _, _, studio = files["perception"].nodes(
        studio="true", cameras="front,left", processes="each", image="/{camera}/image", namespace="r"
    )
    assert studio["executable"] == "studio"
    assert parser().parse_args(studio["arguments"]).target == "/r/front/perception_node"
    studio, _ = files["map"].nodes(studio="true", studio_host="0.0.0.0", name="mapper")
    options = parser().parse_args(studio["arguments"])
    assert (options.target, options.map_target, options.host) == ("/perception_node", "/mapper", "0.0.0.0")


def test_one_topic_for_several_cameras_is_refused(files: dict[str, LaunchFile]) -> None:
    with pytest.raises(RuntimeError, match=r"\{camera\}"):
        files["perception"].nodes(cameras="front,left", image="/camera/image_raw")


def test_a_recording_plays_as_asked_and_can_end_the_launch(files: dict[str, LaunchFile]) -> None:
    (player,) = files["bag"].nodes(path="a_bag", rate="2", loop="true")
    assert player["parameters"][1] == {
        "path": "a_bag",
        "rate": 2.0,
        "start_offset": 0.0,
        "wait_for_subscribers": 1,
        "loop": True,
    }
    assert "on_exit" not in player
    (player,) = files["bag"].nodes(path="a_bag", stop_at_end="true")
    assert type(player["on_exit"]).__name__ == "Shutdown"


def inputs_of(files: dict[str, LaunchFile], name: str, **given: str) -> list[dict[str, Any]]:
    """The perception nodes of a launch file, with depth, as its include of perception.launch.py has them."""
    if name == "perception":
        return files[name].nodes(use_depth="true", **given)
    (include,) = files[name].of("IncludeLaunchDescription")
    ours = {argument: one.default for argument, one in files[name].arguments().items()}
    passed = {
        argument: value if isinstance(value, str) else ours[value.positional[0]]
        for argument, value in include.named["launch_arguments"]
    }
    return files["perception"].nodes(**{**passed, "use_depth": "true", **given})


@pytest.fixture
def rclpy_running() -> Iterator[None]:
    rclpy = pytest.importorskip("rclpy")
    rclpy.init()
    yield
    rclpy.shutdown()


def read_topics(launched: dict[str, Any]) -> set[str]:
    """Topics that perception_node reads when it is started like this, as its QoS parameters name them."""
    import ros_double
    from rclpy.parameter import Parameter

    from perception_contrast.nodes.perception_node import PerceptionNode

    values = {"model": "scripted", "use_depth": True, "autostart": False, **launched["parameters"][-1]}
    rules = [word for old, new in launched["remappings"] for word in ("-r", f"{old}:={new}")]
    node = PerceptionNode(
        build=ros_double.build,
        namespace=launched["namespace"] or "/",
        parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
        cli_args=["--ros-args", *rules],
    )
    names = node.get_parameters_by_prefix("qos_overrides")
    node.close()
    node.destroy_node()
    return {name.split(".")[0] for name in names if ".subscription." in name}


def simulated_topics(patch: pytest.MonkeyPatch) -> set[str]:
    """Topics that sim_camera publishes."""
    from perception_contrast.core.errors import PerceptionError
    from perception_contrast.ros.node.shutdown_event import ShutdownEvent
    from perception_contrast_sim.nodes import sim_camera

    def no_household(*_: Any, **__: Any) -> None:
        raise PerceptionError("a household takes seconds, and its topics are there without it")

    patch.setattr(sim_camera, "Household", no_household)
    node = sim_camera.SimCamera(ShutdownEvent())
    names = {publisher.topic_name for publisher in node.publishers}
    node.close()
    node.destroy_node()
    return names


@pytest.mark.ros
@pytest.mark.parametrize("name", ["demo", "bag"])
def test_every_remapped_input_is_published_by_the_simulated_camera(
    files: dict[str, LaunchFile], name: str, rclpy_running: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mujoco")
    (node,) = inputs_of(files, name)
    read = read_topics(node)
    assert read == {
        "/camera/color/image_raw",
        "/camera/depth/image_rect_raw",
        "/camera/color/camera_info",
        "/camera/depth/camera_info",
        "/tf_static",
    }
    assert read <= simulated_topics(monkeypatch)


@pytest.mark.ros
@pytest.mark.parametrize("name", ["perception", "demo", "bag"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"image": "/{camera}/image", "depth": "/{camera}/depth", "cameras": "front,left"},
        {"image": "/{camera}/image", "cameras": "front,left", "processes": "each"},
        {
            "image": "/c/image",
            "depth": "/d/image",
            "camera_info": "/e/info",
            "depth_camera_info": "/f/info",
            "cameras": "",
        },
    ],
    ids=["defaults", "one process", "processes", "all given"],
)
def test_every_remapping_takes_hold_of_an_input_of_the_node(
    files: dict[str, LaunchFile], name: str, given: dict[str, str], rclpy_running: None
) -> None:
    for node in inputs_of(files, name, **given):
        base = node["namespace"].rstrip("/")
        expected = {new if new.startswith("/") else f"{base}/{new}" for _, new in node["remappings"]}
        assert expected <= read_topics(node)


@pytest.mark.ros
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"image": "/c/image", "depth": "/d/image", "camera_info": "/e/info", "depth_camera_info": "/f/info"},
        {"cameras": "front, left", "image": "/{camera}/image", "depth": "/{camera}/depth", "namespace": "/r"},
    ],
    ids=["defaults", "all given", "two cameras"],
)
def test_the_map_reads_what_its_arguments_say(
    files: dict[str, LaunchFile], given: dict[str, str], rclpy_running: None
) -> None:
    from rclpy.parameter import Parameter

    from perception_contrast.nodes.map_node import MapNode

    (launched,) = files["map"].nodes(poses="odometry", **given)
    rules = [word for old, new in launched["remappings"] for word in ("-r", f"{old}:={new}")]
    values = {**launched["parameters"][-1], "autostart": False, "surface_voxel_size": 0.0}
    node = MapNode(
        namespace=launched["namespace"] or "/",
        parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
        cli_args=["--ros-args", *rules],
    )
    names = node.get_parameters_by_prefix("qos_overrides")
    node.close()
    node.destroy_node()
    read = {name.split(".")[0] for name in names if ".subscription." in name}
    base = launched["namespace"].rstrip("/")
    for old, new in launched["remappings"]:
        if old not in ("odometry", "pose"):
            assert (new if new.startswith("/") else f"{base}/{new}") in read, old
    camera = "front/" if "cameras" in given else ""
    assert f"{base}/perception_node/{camera}detections" in read


def test_a_demo_without_the_simulation_says_how_to_get_it(repository: Path) -> None:
    demo = LaunchFile(repository / "launch" / "demo.launch.py", missing={"perception_contrast_sim"})
    with pytest.raises(RuntimeError, match=r"perception_contrast_sim, which is not installed.*colcon build"):
        demo.nodes()


@pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed (it comes with ROS 2)"
)
@pytest.mark.parametrize("name", NAMES)
def test_launch_itself_reads_the_files(repository: Path, name: str) -> None:
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    from launch import LaunchContext

    path = str(repository / "launch" / f"{name}.launch.py")
    description = PythonLaunchDescriptionSource(path).get_launch_description(LaunchContext())
    assert all(one.description for one in description.get_launch_arguments())
