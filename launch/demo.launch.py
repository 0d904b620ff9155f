"""Starts the simulated camera and perception_node on it.

ros2 launch perception_contrast demo.launch.py seed:=7 queries:="mug, sofa"
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription

PACKAGE = "perception_contrast"
SIMULATION = "perception_contrast_sim"
BOOLEANS = ("true", "false")


class Argument(NamedTuple):
    """A launch argument. choices: empty where any value may be given."""

    default: str | None
    description: str
    choices: tuple[str, ...] = ()


ARGUMENTS = {
    "seed": Argument("1", "The same seed gives the same household and path."),
    "rate": Argument("10.0", "Frames a second."),
    "unseen": Argument("false", "Use shapes and looks that training never used (true or false).", BOOLEANS),
    "offline": Argument("false", "Never use the network (true or false).", BOOLEANS),
    "queries": Argument("mug, bowl, bottle, book, lamp, chair, sofa, table", "Queries, separated by commas."),
    "vocabulary": Argument("", "Name of a vocabulary file, used besides the queries. Empty: none."),
    "model": Argument("", "Image encoder. Empty: as in the installed parameter file."),
    "language_model": Argument(
        "",
        "Model that compares text with image features. Empty: as in the parameter file.",
    ),
    "preset": Argument("", "onboard_small, onboard_large, cpu or offboard. Empty: none."),
    "use_depth": Argument("true", "Give perception_node the camera's depth too (true or false).", BOOLEANS),
    "namespace": Argument("", "Namespace of both nodes and of the camera's topics."),
    "log_level": Argument("info", "debug, info, warn, error or fatal."),
    "studio": Argument(
        "false", "Also start the studio, a page in the browser that shows it (true or false).", BOOLEANS
    ),
    "rviz": Argument("false", "Also start RViz with config/perception.rviz (true or false).", BOOLEANS),
}
TYPES = {"seed": int, "rate": float, "unseen": bool, "offline": bool}
PASSED_ON = (
    "queries",
    "vocabulary",
    "model",
    "language_model",
    "preset",
    "use_depth",
    "offline",
    "namespace",
    "log_level",
    "studio",
)


def _simulated_camera(_: LaunchContext) -> list[Node]:
    try:
        simulation = Path(get_package_share_directory(SIMULATION))
    except PackageNotFoundError as error:
        raise RuntimeError(
            f"demo.launch.py needs the package {SIMULATION}, which is not installed: build the folder "
            f"`simulation` in your workspace (`colcon build --packages-select {SIMULATION}`) and source its "
            "setup file, or play a recording with bag.launch.py"
        ) from error
    return [
        Node(
            package=SIMULATION,
            executable="sim_camera",
            namespace=LaunchConfiguration("namespace"),
            output="screen",
            parameters=[
                str(simulation / "config" / "sim_camera.yaml"),
                {
                    name: ParameterValue(LaunchConfiguration(name), value_type=kind)
                    for name, kind in TYPES.items()
                },
            ],
            ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        )
    ]


def generate_launch_description() -> LaunchDescription:
    share = Path(get_package_share_directory(PACKAGE))
    camera = OpaqueFunction(function=_simulated_camera)
    perception = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "perception.launch.py")),
        launch_arguments=[
            ("image", "camera/color/image_raw"),
            ("depth", "camera/depth/image_rect_raw"),
            *((name, LaunchConfiguration(name)) for name in PASSED_ON),
        ],
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", str(share / "config" / "perception.rviz")],
        condition=IfCondition(LaunchConfiguration("rviz")),
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
    return LaunchDescription([*arguments, camera, perception, rviz])
