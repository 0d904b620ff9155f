"""Starts perception_node on one camera or several.

ros2 launch perception_contrast perception.launch.py image:=/camera/image_raw queries:="mug, sofa"
ros2 launch perception_contrast perception.launch.py cameras:="front, left" image:="/{camera}/color/image_raw"

An argument that is not given leaves its parameter to the preset, and that to the parameter file.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription

PACKAGE = "perception_contrast"
STUDIO = "perception_contrast_studio"
PRESETS = ("onboard_small", "onboard_large", "cpu", "offboard")
# Inputs of a camera; with several, {camera} stands for its name.


class Argument(NamedTuple):
    """A launch argument. choices: empty where any value may be given."""

    default: str | None
    description: str
    choices: tuple[str, ...] = ()


TOPICS = {
    "image": Argument(
        "image", "Topic of the camera's images; /compressed is appended for compressed transport."
    ),
    "depth": Argument("depth", "Topic of depth images, if use_depth is true."),
    "camera_info": Argument(
        "", "Topic of the calibration, if use_depth is true. Empty: camera_info beside the images."
    ),
    "depth_camera_info": Argument(
        "", "Topic of the depth's calibration, if use_depth is true. Empty: camera_info beside the depth."
    ),
}
PARAMETERS = {
    "model": "Image encoder; `perception-contrast models list` names them.",
    "language_model": "Model that compares text with image features.",
    "device": "auto, cpu, cuda or cuda:N.",
    "engine": "auto, torch, compiled, captured, onnxruntime, onnxruntime-cuda or tensorrt.",
    "precision": "auto, fp32, bf16, fp16 or int8.",
    "image_transport": "raw or compressed.",
    "vocabulary": "Name of a vocabulary file; `perception-contrast vocab list` names them.",
    "queries": "Further queries: labels separated by commas, each 'label' or "
    "'label: phrase; phrase; !negative'.",
}
FLAGS = {
    "offline": "Never use the network (true or false).",
    "use_depth": "Also subscribe to depth and its calibration (true or false).",
    "autostart": "Configure and activate at start (true or false).",
    "use_sim_time": "Take time from /clock (true or false).",
}
OTHERS = {
    "cameras": Argument(
        "",
        "Names of several cameras, separated by commas; {camera} in the topics stands for each, "
        "and outputs are NODE/CAMERA/detections and so on. Empty: one camera without a name.",
    ),
    "processes": Argument(
        "one",
        "one: a single process, which batches the frames of all cameras. each: a process and a model for "
        "each camera, in a namespace of the camera's name.",
        ("one", "each"),
    ),
    "preset": Argument(
        "",
        f"Parameters for a kind of machine: {', '.join(PRESETS)}. Empty: as in params_file.",
        ("", *PRESETS),
    ),
    "name": Argument("perception_node", "Name of the node."),
    "namespace": Argument("", "Namespace of the node."),
    "log_level": Argument(
        "info",
        "Of the node: debug, info, warn, error or fatal.",
        ("debug", "info", "warn", "error", "fatal"),
    ),
    "studio": Argument(
        "false",
        "Also start the studio, a page in the browser that shows it (true or false).",
        ("true", "false"),
    ),
    "studio_host": Argument("127.0.0.1", "Address that the studio listens on; 0.0.0.0 for other machines."),
    "studio_port": Argument("8080", "Port of the studio; 0 for a free one."),
    "respawn": Argument(
        "false", "Start the node again if it ends by itself (true or false).", ("true", "false")
    ),
}


def _comma_separated(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _given(texts: dict[str, str]) -> dict[str, object]:
    """Parameters whose launch argument is not empty."""
    values: dict[str, object] = {name: texts[name] for name in (*PARAMETERS, *FLAGS) if texts[name]}
    for name in FLAGS.keys() & values.keys():
        values[name] = texts[name].lower() == "true"
    if "queries" in values:
        values["queries"] = _comma_separated(texts["queries"])
    return values


def _topics(texts: dict[str, str], camera: str, prefix: str) -> list[tuple[str, str]]:
    """Remappings of a camera's inputs, which the node calls ``prefix`` and their name."""
    chosen = {name: texts[name].replace("{camera}", camera) for name in TOPICS}
    # `front/image` is what it is called anyway.
    left = {name for name in TOPICS if not texts[name] or (prefix and texts[name] == name)}
    return [(f"{prefix}{name}", topic) for name, topic in chosen.items() if name not in left]


def _node(texts: dict[str, str], cameras: list[str], namespace: str) -> Node:
    """One process; cameras: those it sees, or one whose name only tells its topics."""
    named = len(cameras) > 0 and texts["processes"] == "one"
    config = Path(get_package_share_directory(PACKAGE)) / "config"
    preset = [str(config / "presets" / f"{texts['preset']}.yaml")] if texts["preset"] else []
    remappings = [pair for one in cameras or [""] for pair in _topics(texts, one, f"{one}/" if named else "")]
    return Node(
        package=PACKAGE,
        executable="perception_node",
        name=texts["name"],
        namespace=namespace,
        output="screen",
        parameters=[
            texts["params_file"],
            *preset,
            _given(texts) | ({"cameras": cameras} if named else {}),
        ],
        remappings=remappings,
        ros_arguments=["--log-level", texts["log_level"]],
        respawn=texts["respawn"] == "true",
        respawn_delay=1.0,
    )


def _studio(texts: dict[str, str], target: str) -> list[Node]:
    """The studio of a node; its log tells the address, and the file that holds the token."""
    if texts["studio"] != "true":
        return []
    words = ["--host", texts["studio_host"], "--port", texts["studio_port"], "--target", target]
    return [Node(package=STUDIO, executable="studio", arguments=words, output="screen")]


def _nodes(context: LaunchContext) -> list[Node]:
    names = (*TOPICS, *PARAMETERS, *FLAGS, *OTHERS, "params_file")
    texts = {name: LaunchConfiguration(name).perform(context) for name in names}
    cameras = _comma_separated(texts["cameras"])
    if len(cameras) > 1 and "{camera}" not in texts["image"] and texts["image"] != "image":
        raise RuntimeError(
            f"launch argument image:={texts['image']} gives all of {', '.join(cameras)} the same images; "
            "write {camera} where their names differ, as in image:=/{camera}/color/image_raw"
        )
    if texts["processes"] == "one":
        nodes = {texts["namespace"].rstrip("/"): cameras}
    else:
        base = texts["namespace"].rstrip("/")
        nodes = {f"{base}/{one}" if one else base: [one] for one in cameras or [""]}
    first = next(iter(nodes))
    return [
        *(_node(texts, seen, namespace) for namespace, seen in nodes.items()),
        *_studio(texts, f"/{first}/{texts['name']}".replace("//", "/")),
    ]


def generate_launch_description() -> LaunchDescription:
    config = Path(get_package_share_directory(PACKAGE)) / "config" / "perception_node.yaml"
    described = {
        **TOPICS,
        **OTHERS,
        "params_file": Argument(str(config), "Parameter file; the installed one lists every parameter."),
        **{
            name: Argument("", f"{text} Empty: as in preset or params_file.")
            for name, text in PARAMETERS.items()
        },
        **{
            name: Argument("", f"{text} Empty: as in preset or params_file.", ("", "true", "false"))
            for name, text in FLAGS.items()
        },
    }
    arguments = [
        DeclareLaunchArgument(
            name, default_value=one.default, description=one.description, choices=one.choices or None
        )
        for name, one in described.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_nodes)])
