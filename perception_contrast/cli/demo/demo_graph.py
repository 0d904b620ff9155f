"""The processes of a demo: source, topics, parameters, environment."""

from __future__ import annotations

import os
import random
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from perception_contrast.core.errors import PerceptionError
from perception_contrast.engines.cpu_features import bfloat16_is_faster
from perception_contrast.recordings.bag_messages import BagTopic
from perception_contrast.recordings.bags import COMPRESSED_IMAGE, IMAGE, BagSource

KINDS = ("sim", "bag", "video", "images", "webcam")
CAMERA_TOPIC = "/camera/color/image_raw"
DEPTH_TOPIC = "/camera/depth/image_rect_raw"
SIM_QUERIES = ("mug", "bowl", "bottle", "banana", "book", "laptop", "chair", "sofa", "table", "potted plant")
HOME_QUERIES = ("chair", "table", "cupboard", "sink", "mug", "bottle", "bed", "pillow", "lamp", "book")
# Images of a recording come this often at least: longer silences are cut.
_LONGEST_GAP = 0.5
# Short sides that leave five frames a second beside the simulator, by cores, with and without bfloat16.
_QUICK_SHORT_SIDES, _SHORT_SIDES = (154, 224, 280, 378), (112, 168, 210, 280)
_GPU_SHORT_SIDE = 518
_LAST_DOMAIN = 101  # higher ones reach into Linux's ephemeral ports
SIMULATION = "perception_contrast_sim"


@dataclass(frozen=True)
class Program:
    """A node to start: module of ``nodes`` in a package, parameters, remappings."""

    module: str
    parameters: dict[str, Any]
    remappings: dict[str, str] = field(default_factory=dict)
    package: str = "perception_contrast"

    def command(self, folder: Path) -> list[str]:
        """The command line; the parameters go into a file in ``folder``."""
        path = folder / f"{self.module}.yaml"
        path.write_text(yaml.safe_dump({"/**": {"ros__parameters": self.parameters}}), encoding="utf-8")
        words = [sys.executable, "-m", f"{self.package}.nodes.{self.module}", "--ros-args"]
        words += ["--params-file", str(path)]
        for old, new in self.remappings.items():
            words += ["-r", f"{old}:={new}"]
        return words


@dataclass(frozen=True)
class Source:
    """Where images come from. topic: the one to listen to; base: what perception_node's `image` becomes.

    lost: what of a recording cannot be played, a line for each. depth: topic of its depth, "" without; posed:
    whether transforms say where the camera is.
    """

    name: str
    program: Program
    topic: str
    type: str
    base: str
    stamped_live: bool
    queries: tuple[str, ...]
    lost: tuple[str, ...] = ()
    depth: str = ""
    posed: bool = False

    @property
    def compressed(self) -> bool:
        return self.type == COMPRESSED_IMAGE


def make_source(words: Sequence[str], *, seed: int, offline: bool, topic: str | None) -> Source:
    """A source of ``--source KIND [WHAT]``. Raises PerceptionError for what cannot be played."""
    kind, what = words[0], words[1] if len(words) > 1 else ""
    if kind not in KINDS or len(words) > 2:
        raise PerceptionError(f"--source {' '.join(words)}: give one of {', '.join(KINDS)} and what to play")
    if kind == "sim":
        if find_spec(SIMULATION) is None:
            raise PerceptionError(
                f"--source sim needs the package {SIMULATION}, which is not installed; install it with "
                "`pip install ./simulation`, build it in your ROS 2 workspace, or choose another --source"
            )
        program = Program("sim_camera", {"seed": seed, "offline": offline}, package=SIMULATION)
        return Source(
            f"sim, seed {seed}",
            program,
            CAMERA_TOPIC,
            IMAGE,
            CAMERA_TOPIC,
            True,
            SIM_QUERIES,
            depth=DEPTH_TOPIC,
            posed=True,
        )
    if not what:
        raise PerceptionError(f"--source {kind} needs a second word: what to play")
    if kind == "bag":
        return _bag(Path(what), topic)
    if kind != "webcam" and not Path(what).exists():
        raise PerceptionError(f"--source {kind}: '{what}' does not exist; check the path")
    parameters = {"source": kind, "path": what, "loop": True, "loop_pause": 0.05, "wait_for_subscribers": 2}
    program = Program("bag_player", parameters)
    return Source(f"{kind} {what}", program, CAMERA_TOPIC, IMAGE, CAMERA_TOPIC, True, HOME_QUERIES)


def _bag(path: Path, topic: str | None) -> Source:
    recording = BagSource(path)
    chosen = recording.topics[recording.image_topic(topic)]
    parameters = {
        "source": "bag",
        "path": str(path),
        "loop": True,
        "max_gap": _LONGEST_GAP,
        "topics": _with_companions(recording, chosen),
        "wait_for_subscribers": 2,
    }
    # perception_node reads `<base>/compressed` for compressed images, whatever the recording calls them.
    compressed = chosen.type == COMPRESSED_IMAGE
    base = chosen.name.removesuffix("/compressed") if compressed else chosen.name
    played = f"{base}/compressed" if compressed else base
    remappings = {chosen.name: played} if played != chosen.name else {}
    program = Program("bag_player", parameters, remappings)
    name = f"bag {path}"
    depth, posed = _depth_and_poses(recording)
    return Source(name, program, played, chosen.type, base, False, HOME_QUERIES, recording.lost, depth, posed)


def _depth_and_poses(recording: BagSource) -> tuple[str, bool]:
    """The first topic of depth images, "" without one; and whether transforms were recorded."""
    topics = [one for one in recording.topics.values() if one.count]
    depth = next((one.name for one in topics if one.type == IMAGE and "depth" in one.name), "")
    return depth, any(one.type == "tf2_msgs/msg/TFMessage" for one in topics)


def map_program(source: Source, name: str) -> Program:
    """The map_node of a source.

    Args:
        source: With depth and poses.
        name: Of the map that is kept; "" keeps it in memory.

    Raises:
        PerceptionError: The source has no depth, or no poses.
    """
    if not source.depth or not source.posed:
        lacking = "depth images" if not source.depth else "transforms"
        raise PerceptionError(
            f"--map: the source '{source.name}' has no {lacking}; take the simulator, or a recording "
            "with depth and transforms"
        )
    parameters = {"map": name, "image_transport": "compressed" if source.compressed else "raw"}
    return Program("map_node", parameters, {"image": source.base, "depth": source.depth})


def _with_companions(recording: BagSource, chosen: BagTopic) -> list[str]:
    """The images, with calibration, depth and transforms; a laser's points would only cost time here."""
    kinds = ("sensor_msgs/msg/CameraInfo", "tf2_msgs/msg/TFMessage")
    depth = [t for t in recording.topics.values() if t.type == IMAGE and "depth" in t.name]
    others = [t for t in recording.topics.values() if t.type in kinds]
    return sorted({t.name for t in (chosen, *depth, *others) if t.count})


def has_gpu() -> bool:
    """Whether the system has an NVIDIA GPU, without loading torch."""
    return any(Path(path).exists() for path in ("/proc/driver/nvidia/version", "/dev/nvidia0", "/dev/dxg"))


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_short_side() -> int:
    """Pixels that this machine can encode at five frames a second beside the simulator."""
    if has_gpu():
        return _GPU_SHORT_SIDE
    sides = _QUICK_SHORT_SIDES if bfloat16_is_faster() else _SHORT_SIDES
    return sides[min(usable_cores(), len(sides)) - 1]


def free_domain() -> int:
    """A ROS domain whose first ports nobody holds on this machine."""
    candidates = list(range(1, _LAST_DOMAIN + 1))
    random.SystemRandom().shuffle(candidates)
    for domain in candidates:
        # RTPS: base 7400, 250 ports a domain; 10 and 12 are the unicast ports of its first two participants.
        if all(is_port_free(7400 + 250 * domain + offset) for offset in (10, 12)):
            return domain
    raise PerceptionError("no free ROS domain on this machine; set one with --domain-id")


def is_port_free(port: int, kind: socket.SocketKind = socket.SOCK_DGRAM) -> bool:
    """Whether nobody holds a port of this machine; kind: of UDP or of TCP."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind == socket.SOCK_STREAM))
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def environment(domain: int) -> dict[str, str]:
    """Environment of the children: their domain, this machine alone, logs that are easy to read."""
    values = {**os.environ, "ROS_DOMAIN_ID": str(domain), "PYTHONUNBUFFERED": "1"}
    if values.get("ROS_DISTRO") == "humble":
        values.setdefault("ROS_LOCALHOST_ONLY", "1")
    else:
        values.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    # NumPy's products are small here: its own threads would only take turns with torch's.
    values.setdefault("OPENBLAS_NUM_THREADS", "1")
    values.setdefault("RCUTILS_COLORIZED_OUTPUT", "0")
    values.setdefault("RCUTILS_CONSOLE_OUTPUT_FORMAT", "[{severity}] {message}")
    return values
