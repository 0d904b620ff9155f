"""The parameters of map_node: names, defaults, descriptions, ranges, and when they may change."""

from __future__ import annotations

from collections.abc import Collection

from rclpy.exceptions import InvalidTopicNameException
from rclpy.validate_topic_name import validate_topic_name

from perception_contrast.mapping.map_settings import MEGABYTE, MapSettings
from perception_contrast.mapping.storage.privacy import LabelPrivacy
from perception_contrast.memory.forgetting import Retention
from perception_contrast.memory.map_files import SNAPSHOT_PERIOD
from perception_contrast.ros.mapping.map_control import RequestSettings
from perception_contrast.ros.parameters.common_parameters import (
    AUTOSTART,
    BOND_HEARTBEAT_PERIOD,
    IMAGE_TRANSPORT,
    RELIABILITY,
)
from perception_contrast.ros.parameters.node_parameters import checked_camera_names
from perception_contrast.ros.parameters.parameter_spec import ParameterError, ParameterSpec, Values

POSES = ("tf", "pose", "odometry")
FRAMES = ("none", "found", "confirmed")

SPECS = (
    ParameterSpec(
        "perception",
        "perception_node",
        "Name of the perception_node whose results the map takes and that encodes its questions.",
        change="never",
    ),
    ParameterSpec(
        "cameras",
        ("",),
        "Names of the cameras that feed the map, as of perception_node; empty for one without a name.",
        change="never",
    ),
    ParameterSpec("map_frame", "map", "Frame of the map (REP 105).", change="never"),
    ParameterSpec(
        "odom_frame",
        "odom",
        "Frame in which the robot moves without jumps; where it exists, jumps of the map's frame against it "
        "move what was seen before. Empty to look for none.",
        change="never",
    ),
    ParameterSpec(
        "base_frame", "base_link", "Frame of the robot, from which `~/approach` plans.", change="never"
    ),
    ParameterSpec(
        "poses",
        "tf",
        "Where the camera's poses come from: tf; pose (PoseStamped on `pose`); odometry (on `odometry`).",
        choices=POSES,
        change="never",
    ),
    ParameterSpec(
        "pose_patience", 1.0, "Longest time in seconds that a frame waits for its pose.", 0.0, 30.0
    ),
    ParameterSpec(
        "depth_slop",
        0.02,
        "Largest difference in seconds between the stamps of an image and its depth.",
        0.0,
        1.0,
    ),
    RELIABILITY,
    ParameterSpec("colors", True, "Subscribe to `image` too, for colours and thumbnails.", change="never"),
    IMAGE_TRANSPORT,
    ParameterSpec(
        "max_rate", 5.0, "Most frames of a camera that are mapped a second; 0 for all.", 0.0, 100.0
    ),
    ParameterSpec(
        "voxel_size", 0.05, "Side in metres of the voxels that carry features.", 0.02, 0.5, change="never"
    ),
    ParameterSpec(
        "surface_voxel_size",
        0.02,
        "Side in metres of the voxels of the surface; 0 builds none, and needs no Open3D.",
        0.0,
        0.2,
        change="never",
    ),
    ParameterSpec("near", 0.15, "Metres below which depth is not used.", 0.0, 5.0, change="never"),
    ParameterSpec(
        "max_range",
        5.0,
        "Metres beyond which depth makes no voxels and objects; farther features are kept as directions.",
        0.5,
        50.0,
        change="never",
    ),
    ParameterSpec(
        "max_memory_mb",
        600,
        "Memory for voxels with features in MB; the least valuable voxels leave first.",
        16,
        1_000_000,
        change="never",
    ),
    ParameterSpec(
        "queries",
        ("",),
        "Words whose similarity colours `~/cloud` and fills `~/semantic_grid`; the best of them counts.",
    ),
    ParameterSpec(
        "object_frames",
        "none",
        "Objects that get a frame `object_<id>` on /tf: none, found (by the last requests), confirmed.",
        choices=FRAMES,
    ),
    ParameterSpec("publish_period", 1.0, "Seconds between two messages of each output.", 0.1, 60.0),
    ParameterSpec("max_cloud_points", 200_000, "Most points of `~/cloud`.", 1000, 10_000_000),
    ParameterSpec("min_score", 0.5, "Probability from which `~/find` answers with a thing.", 0.0, 1.0),
    ParameterSpec(
        "approach_distance",
        0.6,
        "Metres between the robot's centre and the box of what `~/approach` goes to.",
        0.1,
        5.0,
    ),
    ParameterSpec("clearance", 0.22, "Metres that the robot's centre keeps from obstacles.", 0.0, 5.0),
    ParameterSpec(
        "robot_height", 1.2, "Metres above the floor up to which things stand in the robot's way.", 0.05, 5.0
    ),
    ParameterSpec(
        "map",
        "",
        "Name of the map that is loaded at start and saved to; empty for one that is only kept in memory.",
        change="never",
    ),
    ParameterSpec(
        "journal_period",
        1.0,
        "Seconds of the map that a sudden end may lose, where `map` is set; 0 writes only on `~/save`.",
        0.0,
        60.0,
        change="never",
    ),
    ParameterSpec(
        "snapshot_period",
        SNAPSHOT_PERIOD,
        "Seconds of the surface and the grid that a sudden end may lose; 0 writes them on `~/save`, at the "
        "end, and when the journal is large. No more than a twentieth of the time is spent on it.",
        0.0,
        86400.0,
        change="never",
    ),
    ParameterSpec(
        "blur_labels",
        ("",),
        "Labels whose images are stored without details, and without vectors, such as person.",
        change="never",
    ),
    ParameterSpec(
        "unstored_labels",
        ("",),
        "Labels of which nothing is stored: no object, no sighting, no image that shows them.",
        change="never",
    ),
    ParameterSpec(
        "keep_days",
        0.0,
        "Days after which sightings and keyframes leave the memory; 0 keeps them as long as there is room.",
        0.0,
        36500.0,
        change="never",
    ),
    ParameterSpec(
        "keep_sightings",
        200_000,
        "Most sightings in the memory; the first and the last of each object stay.",
        100,
        100_000_000,
        change="never",
    ),
    ParameterSpec(
        "name_bank",
        True,
        "Compare words with generic names too, which tells what is not there; encoded once at start.",
        change="never",
    ),
    AUTOSTART,
    BOND_HEARTBEAT_PERIOD,
)


def check_together(values: Values, changed: Collection[str]) -> None:
    """Validates what single values do not show. Raises ParameterError."""
    camera_names(values)
    if not str(values["map_frame"]):
        raise ParameterError("parameter 'map_frame' is empty; give the frame of the map, such as map")
    for name in ("map_frame", "odom_frame", "base_frame"):
        if str(values[name]).startswith("/"):
            raise ParameterError(
                f"parameter '{name}': '{values[name]}' begins with a slash, which frames of tf2 never do"
            )
    try:
        validate_topic_name(str(values["perception"]))
    except InvalidTopicNameException as error:
        raise ParameterError(
            f"parameter 'perception': '{values['perception']}' cannot be the name of a node; use letters, "
            "digits, _ and /"
        ) from error
    if float(values["near"]) >= float(values["max_range"]):
        raise ParameterError(
            f"parameter 'near': {values['near']} is not below max_range {values['max_range']}"
        )
    if 0.0 < float(values["surface_voxel_size"]) < 0.005:
        raise ParameterError(
            f"parameter 'surface_voxel_size': {values['surface_voxel_size']} is below 0.005; "
            "use 0 for no surface"
        )


def camera_names(values: Values) -> tuple[str, ...]:
    """Names of the cameras, ("",) for one without a name. Raises ParameterError."""
    return checked_camera_names(values["cameras"])


def privacy(values: Values) -> LabelPrivacy | None:
    """What is stored of which labels; None stores all."""
    blur, refuse = (
        frozenset(str(label) for label in values[name] if label)
        for name in ("blur_labels", "unstored_labels")
    )
    return LabelPrivacy(refuse, blur) if blur or refuse else None


def retention(values: Values) -> Retention:
    """What the memory may hold."""
    age = float(values["keep_days"]) * 86_400e9
    return Retention(sightings=int(values["keep_sightings"]), age=round(age) or None)


def map_settings(values: Values) -> MapSettings:
    """Sizes and limits of the map."""
    return MapSettings(
        voxel=float(values["voxel_size"]),
        surface_voxel=float(values["surface_voxel_size"]),
        near=float(values["near"]),
        max_range=float(values["max_range"]),
        max_bytes=int(values["max_memory_mb"]) * MEGABYTE,
        robot_height=float(values["robot_height"]),
    )


def request_settings(values: Values) -> RequestSettings:
    """Settings of requests."""
    return RequestSettings(
        min_score=float(values["min_score"]),
        distance=float(values["approach_distance"]),
        clearance=float(values["clearance"]),
    )
