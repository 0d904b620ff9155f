"""Starts the simulated camera and perception_node on it.

ros2 launch perception_contrast demo.launch.py seed:=7 queries:="mug, sofa"
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
    "seed": ("1", "The same seed gives the same household and path."),
    "rate": ("10.0", "Frames a second."),
    "offline": ("false", "Never use a network (true or false)."),
    "queries": ("mug, bowl, bottle, book, lamp, chair, sofa, table", "What to look for, with commas."),
    "model": ("", "Image encoder. Empty: as in the installed parameter file."),
    "language_model": ("", "Model that matches words to pixels. Empty: as in the installed parameter file."),
}
TYPES = {"seed": int, "rate": float, "offline": bool}
PASSED_ON = ("queries", "model", "language_model", "offline")


def generate_launch_description() -> LaunchDescription:
    share = Path(get_package_share_directory(PACKAGE))
    camera = Node(
        package=PACKAGE,
        executable="sim_camera",
        output="screen",
        parameters=[
            str(share / "config" / "sim_camera.yaml"),
            {
                name: ParameterValue(LaunchConfiguration(name), value_type=kind)
                for name, kind in TYPES.items()
            },
        ],
    )
    perception = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "perception.launch.py")),
        launch_arguments=[
            ("image", "/camera/color/image_raw"),
            *((name, LaunchConfiguration(name)) for name in PASSED_ON),
        ],
    )
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, camera, perception])
