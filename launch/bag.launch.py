"""Plays a rosbag2 recording to perception_node.

ros2 launch perception_contrast bag.launch.py path:=my_recording image:=/camera/color/image_raw queries:="mug"
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchDescription

PACKAGE = "perception_contrast"
ARGUMENTS = {
    "path": (None, "Recording: a rosbag2 folder, .mcap or .db3 file."),
    "rate": ("1.0", "Speed: 2.0 is twice as fast."),
    "loop": ("false", "Start again at the end (true or false)."),
    "start_offset": ("0.0", "Seconds at the beginning to leave out."),
    "image": ("/camera/color/image_raw", "Image topic; /compressed is appended for compressed transport."),
    "image_transport": ("raw", "raw or compressed."),
    "queries": ("", "What to look for, with commas. Empty: as in the installed parameter file."),
    "model": ("", "Image encoder. Empty: as in the installed parameter file."),
    "language_model": ("", "Model that matches words to pixels. Empty: as in the installed parameter file."),
}
TYPES = {"path": str, "rate": float, "loop": bool, "start_offset": float}
PASSED_ON = ("image", "image_transport", "queries", "model", "language_model")


def generate_launch_description() -> LaunchDescription:
    share = Path(get_package_share_directory(PACKAGE))
    player = Node(
        package=PACKAGE,
        executable="bag_player",
        output="screen",
        parameters=[
            str(share / "config" / "bag_player.yaml"),
            {
                name: ParameterValue(LaunchConfiguration(name), value_type=kind)
                for name, kind in TYPES.items()
            },
        ],
    )
    perception = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "perception.launch.py")),
        launch_arguments=[
            ("use_sim_time", "true"),
            *((name, LaunchConfiguration(name)) for name in PASSED_ON),
        ],
    )
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, player, perception])
