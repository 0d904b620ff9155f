"""Starts perception_node on a camera.

ros2 launch perception_contrast perception.launch.py image:=/camera/image_raw queries:="mug, sofa"

An argument that is not given leaves its parameter to the parameter file.
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

PACKAGE = "perception_contrast"
TOPICS = {
    "image": ("image", "Topic of the camera's pictures; /compressed is appended for compressed transport."),
    "depth": ("depth", "Topic of depth images, if use_depth is true."),
    "camera_info": ("camera_info", "Topic of the calibration, if use_depth is true."),
}
PARAMETERS = {
    "model": "Image encoder, see `perception-contrast models`.",
    "language_model": "Model that matches words to pixels.",
    "device": "auto, cpu, cuda or cuda:N.",
    "engine": "auto, torch, compiled, captured, onnxruntime, onnxruntime-cuda or tensorrt.",
    "precision": "auto, fp32, bf16, fp16 or int8.",
    "image_transport": "raw or compressed.",
    "vocabulary": "Name of a vocabulary to look for, see `perception-contrast vocab list`.",
    "queries": "What to look for besides: labels separated by commas, each 'label' or "
    "'label: phrase; phrase; !negative'.",
}
FLAGS = {
    "offline": "Never use a network (true or false).",
    "use_depth": "Also read depth and camera_info (true or false).",
    "autostart": "Configure and activate at start (true or false).",
    "use_sim_time": "Take time from /clock (true or false).",
}


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise RuntimeError(f"launch argument {name}:={text} is neither true nor false")
    return text.lower() == "true"


def _given(context: LaunchContext) -> dict[str, object]:
    """Parameters whose launch argument is not empty."""
    texts = {name: LaunchConfiguration(name).perform(context) for name in (*PARAMETERS, *FLAGS)}
    values: dict[str, object] = {name: text for name, text in texts.items() if text}
    for name in FLAGS.keys() & values.keys():
        values[name] = _flag(name, texts[name])
    if "queries" in values:
        values["queries"] = [query.strip() for query in texts["queries"].split(",")]
    return values


def _node(context: LaunchContext) -> list[Node]:
    return [
        Node(
            package=PACKAGE,
            executable="perception_node",
            name=LaunchConfiguration("name"),
            namespace=LaunchConfiguration("namespace"),
            output="screen",
            parameters=[LaunchConfiguration("params_file"), _given(context)],
            remappings=[(name, LaunchConfiguration(name)) for name in TOPICS],
            arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
        )
    ]


def generate_launch_description() -> LaunchDescription:
    config = Path(get_package_share_directory(PACKAGE)) / "config" / "perception_node.yaml"
    described = {
        "name": ("perception_node", "Name of the node."),
        "namespace": ("", "Namespace of the node."),
        "params_file": (str(config), "Parameter file; the installed one lists every parameter."),
        "log_level": ("info", "debug, info, warn, error or fatal."),
        **TOPICS,
        **{name: ("", f"{text} Empty: as in params_file.") for name, text in (PARAMETERS | FLAGS).items()},
    }
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in described.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_node)])
