"""Plays a rosbag2 recording to perception_node.

ros2 launch perception_contrast bag.launch.py path:=my_recording image:=/camera/color/image_raw queries:="mug"
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

PACKAGE = "perception_contrast"
BOOLEANS = ("true", "false")
# Name: default, description, what it may be.
ARGUMENTS = {
    "path": (None, "Recording: a rosbag2 folder, .mcap or .db3 file.", ()),
    "rate": ("1.0", "Speed: 2.0 is twice as fast.", ()),
    "loop": ("false", "Start again at the end (true or false).", BOOLEANS),
    "start_offset": ("0.0", "Seconds at the beginning to leave out.", ()),
    "wait_for_subscribers": (
        "1",
        "Play only once a topic has this many subscribers; perception_node subscribes when it has loaded and "
        "something listens to it. 0: at once.",
        (),
    ),
    "stop_at_end": ("false", "End perception_node too when the recording ends (true or false).", BOOLEANS),
    "image": (
        "/camera/color/image_raw",
        "Image topic; /compressed is appended for compressed transport.",
        (),
    ),
    "depth": ("/camera/depth/image_raw", "Depth topic, if use_depth is true.", ()),
    "camera_info": ("/camera/color/camera_info", "Calibration topic, if use_depth is true.", ()),
    "image_transport": ("raw", "raw or compressed.", ("raw", "compressed")),
    "use_depth": ("false", "Also subscribe to depth and camera_info (true or false).", BOOLEANS),
    "cameras": ("", "Names of several cameras, with commas; {camera} in the topics stands for each.", ()),
    "queries": ("", "Queries, separated by commas. Empty: as in the installed parameter file.", ()),
    "vocabulary": ("", "Name of a vocabulary file. Empty: as in the parameter file.", ()),
    "model": ("", "Image encoder. Empty: as in the installed parameter file.", ()),
    "language_model": (
        "",
        "Model that compares text with image features. Empty: as in the parameter file.",
        (),
    ),
    "preset": ("", "onboard_small, onboard_large, cpu or offboard. Empty: none.", ()),
    "offline": (
        "",
        "Never use the network (true or false). Empty: as in the parameter file.",
        ("", *BOOLEANS),
    ),
    "log_level": ("info", "debug, info, warn, error or fatal.", ()),
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
        DeclareLaunchArgument(name, default_value=default, description=text, choices=choices or None)
        for name, (default, text, choices) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_player), perception])
