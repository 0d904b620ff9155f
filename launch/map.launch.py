"""Starts map_node beside a perception_node that runs, or starts that too.

ros2 launch perception_contrast map.launch.py image:=/camera/color/image_raw depth:=/camera/depth/image_raw
ros2 launch perception_contrast map.launch.py perception:=true queries:="mug, sofa" map:=kitchen

An argument that is not given leaves its parameter to the parameter file.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

PACKAGE = "perception_contrast"
STUDIO = "perception_contrast_studio"
BOOLEANS = ("true", "false")


class Argument(NamedTuple):
    """A launch argument. choices: empty where any value may be given."""

    default: str
    description: str
    choices: tuple[str, ...] = ()


# Inputs of a camera; with several, {camera} stands for its name.
TOPICS = {
    "image": Argument(
        "image", "Topic of the camera's images; /compressed is appended for compressed transport."
    ),
    "depth": Argument("depth", "Topic of the depth images."),
    "camera_info": Argument("", "Topic of the calibration. Empty: camera_info beside the images."),
    "depth_camera_info": Argument(
        "", "Topic of the depth camera's calibration. Empty: camera_info beside the depth."
    ),
}
POSES = {
    "odometry": Argument("odometry", "Topic of nav_msgs/Odometry, where poses is odometry."),
    "pose": Argument("pose", "Topic of geometry_msgs/PoseStamped, where poses is pose."),
}
PARAMETERS = {
    "map": Argument("", "Name of the map, loaded at start and written as it grows."),
    "map_frame": Argument("", "Frame of the map."),
    "odom_frame": Argument("", "Frame in which the robot moves without jumps."),
    "base_frame": Argument("", "Frame of the robot."),
    "poses": Argument("", "Where the camera's poses come from.", ("", "tf", "pose", "odometry")),
    "image_transport": Argument("", "raw or compressed.", ("", "raw", "compressed")),
    "use_sim_time": Argument("", "Take time from /clock (true or false).", ("", *BOOLEANS)),
}
# Of the perception_node that is started too; PASSED_ON has what both nodes get.
PERCEPTION = {
    "queries": Argument("", "Labels separated by commas, each 'label' or 'label: phrase; phrase'."),
    "vocabulary": Argument("", "Name of a vocabulary file."),
    "model": Argument("", "Image encoder."),
    "language_model": Argument("", "Model that compares text with image features."),
    "preset": Argument("", "Parameters for a kind of machine, such as cpu."),
}
OTHERS = {
    "perception": Argument("false", "Start a perception_node too (true or false).", BOOLEANS),
    "cameras": Argument(
        "", "Names of several cameras, separated by commas, as of perception_node. Empty: one without a name."
    ),
    "perception_name": Argument("perception_node", "Name of the perception_node."),
    "name": Argument("map_node", "Name of the node."),
    "namespace": Argument("", "Namespace of the nodes."),
    "studio": Argument(
        "false", "Also start the studio, a page in the browser that shows it (true or false).", BOOLEANS
    ),
    "studio_host": Argument("127.0.0.1", "Address that the studio listens on; 0.0.0.0 for other machines."),
    "studio_port": Argument("8080", "Port of the studio; 0 for a free one."),
    "log_level": Argument("info", "Of the nodes: debug, info, warn, error or fatal."),
}
PASSED_ON = (*TOPICS, *PERCEPTION, "cameras", "namespace", "log_level", "image_transport", "use_sim_time")


def _remappings(texts: dict[str, str], cameras: list[str]) -> list[tuple[str, str]]:
    pairs = [(name, texts[name]) for name in POSES]
    for camera in cameras or [""]:
        prefix = f"{camera}/" if camera else ""
        pairs += [(f"{prefix}{name}", texts[name].replace("{camera}", camera)) for name in TOPICS]
    return [(name, topic) for name, topic in pairs if topic and not name.endswith(f"/{topic}")]


def _studio(texts: dict[str, str]) -> list[Node]:
    """The studio of both nodes; its log tells the address, and the file that holds the token."""
    if texts["studio"] != "true":
        return []
    base = f"/{texts['namespace'].strip('/')}/".replace("//", "/")
    words = ["--host", texts["studio_host"], "--port", texts["studio_port"]]
    words += ["--target", f"{base}{texts['perception_name']}", "--map-target", f"{base}{texts['name']}"]
    return [Node(package=STUDIO, executable="studio", arguments=words, output="screen")]


def _map_node(context: LaunchContext) -> list[Node]:
    names = (*TOPICS, *POSES, *PARAMETERS, *OTHERS, "params_file")
    texts = {name: LaunchConfiguration(name).perform(context) for name in names}
    cameras = [word.strip() for word in texts["cameras"].split(",") if word.strip()]
    values: dict[str, object] = {name: texts[name] for name in PARAMETERS if texts[name]}
    values["perception"] = texts["perception_name"]
    if texts["use_sim_time"]:
        values["use_sim_time"] = texts["use_sim_time"] == "true"
    if cameras:
        values["cameras"] = cameras
    return [
        *_studio(texts),
        Node(
            package=PACKAGE,
            executable="map_node",
            name=texts["name"],
            namespace=texts["namespace"],
            output="screen",
            parameters=[texts["params_file"], values],
            remappings=_remappings(texts, cameras),
            ros_arguments=["--log-level", texts["log_level"]],
        ),
    ]


def generate_launch_description() -> LaunchDescription:
    share = Path(get_package_share_directory(PACKAGE))
    perception = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "perception.launch.py")),
        launch_arguments=[
            ("use_depth", "true"),
            ("name", LaunchConfiguration("perception_name")),
            *((name, LaunchConfiguration(name)) for name in PASSED_ON),
        ],
        condition=IfCondition(LaunchConfiguration("perception")),
    )
    described = {
        **TOPICS,
        **POSES,
        **{
            name: one._replace(description=f"{one.description} Empty: as in the parameter file.")
            for name, one in {**PARAMETERS, **PERCEPTION}.items()
        },
        **OTHERS,
        "params_file": Argument(
            str(share / "config" / "map_node.yaml"),
            "Parameter file; the installed one lists every parameter.",
        ),
    }
    arguments = [
        DeclareLaunchArgument(
            name, default_value=one.default, description=one.description, choices=one.choices or None
        )
        for name, one in described.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_map_node), perception])
