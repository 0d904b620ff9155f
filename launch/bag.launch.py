"""Plays a rosbag2 recording to perception_node.

ros2 launch perception_contrast bag.launch.py path:=my_recording image:=/camera/color/image_raw queries:="mug"
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

PACKAGE = "perception_contrast"
BOOLEANS = ("true", "false")


class Argument(NamedTuple):
    """A launch argument. choices: empty where any value may be given."""

    default: str | None
    description: str
    choices: tuple[str, ...] = ()


ARGUMENTS = {
    "path": Argument(None, "Recording: a rosbag2 folder, .mcap or .db3 file."),
    "rate": Argument("1.0", "Speed: 2.0 is twice as fast."),
    "loop": Argument("false", "Start again at the end (true or false).", BOOLEANS),
    "start_offset": Argument("0.0", "Seconds at the beginning to leave out."),
    "wait_for_subscribers": Argument(
        "1",
        "Play only once a topic has this many subscribers; perception_node subscribes when it has loaded and "
        "something listens to it. 0: at once.",
    ),
    "stop_at_end": Argument(
        "false", "End perception_node too when the recording ends (true or false).", BOOLEANS
    ),
    "image": Argument(
        "/camera/color/image_raw",
        "Image topic; /compressed is appended for compressed transport.",
    ),
    "depth": Argument("/camera/depth/image_rect_raw", "Depth topic, if use_depth is true."),
    "camera_info": Argument(
        "", "Calibration topic, if use_depth is true. Empty: camera_info beside the images."
    ),
    "depth_camera_info": Argument(
        "", "Calibration of the depth, if use_depth is true. Empty: camera_info beside the depth."
    ),
    "image_transport": Argument("raw", "raw or compressed.", ("raw", "compressed")),
    "use_depth": Argument("false", "Also subscribe to depth and its calibration (true or false).", BOOLEANS),
    "cameras": Argument("", "Names of several cameras, with commas; {camera} in the topics stands for each."),
    "queries": Argument("", "Queries, separated by commas. Empty: as in the installed parameter file."),
    "vocabulary": Argument("", "Name of a vocabulary file. Empty: as in the parameter file."),
    "model": Argument("", "Image encoder. Empty: as in the installed parameter file."),
    "language_model": Argument(
        "",
        "Model that compares text with image features. Empty: as in the parameter file.",
    ),
    "preset": Argument("", "onboard_small, onboard_large, cpu or offboard. Empty: none."),
    "offline": Argument(
        "",
        "Never use the network (true or false). Empty: as in the parameter file.",
        ("", *BOOLEANS),
    ),
    "studio": Argument(
        "false", "Also start the studio, a page in the browser that shows it (true or false).", BOOLEANS
    ),
    "log_level": Argument("info", "debug, info, warn, error or fatal."),
}
TYPES = {"path": str, "rate": float, "start_offset": float, "wait_for_subscribers": int}
NOT_PASSED_ON = {*TYPES, "loop", "stop_at_end"}


def _player(context: LaunchContext) -> list[Node]:
    texts = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    share = Path(get_package_share_directory(PACKAGE))
    values = {name: kind(texts[name]) for name, kind in TYPES.items()}
    ending = {"on_exit": Shutdown(reason="the recording has ended")} if texts["stop_at_end"] == "true" else {}
    return [
        Node(
            package=PACKAGE,
            executable="bag_player",
            output="screen",
            parameters=[
                str(share / "config" / "bag_player.yaml"),
                {**values, "loop": texts["loop"] == "true"},
            ],
            ros_arguments=["--log-level", texts["log_level"]],
            **ending,
        )
    ]


def generate_launch_description() -> LaunchDescription:
    share = Path(get_package_share_directory(PACKAGE))
    perception = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "perception.launch.py")),
        launch_arguments=[
            ("use_sim_time", "true"),
            *((name, LaunchConfiguration(name)) for name in ARGUMENTS if name not in NOT_PASSED_ON),
        ],
    )
    arguments = [
        DeclareLaunchArgument(
            name,
            default_value=one.default,
            description=one.description,
            choices=one.choices or None,
        )
        for name, one in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_player), perception])
