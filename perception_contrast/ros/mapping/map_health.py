"""What is wrong with a map, with the cure, and its figures. Knows no ROS message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from perception_contrast.core.counted import counted
from perception_contrast.ros.mapping.map_builder import BuildReport
from perception_contrast.ros.monitoring.health import ERROR, WARN, Finding
from perception_contrast.ros.monitoring.statistics import Snapshot

SILENT = 5.0  # seconds without a frame after which it is told
_MOST = 0.5


@dataclass(frozen=True)
class CameraReport:
    """One camera of the map.

    Attributes:
        name: "" for the only one.
        calibrated: Whether a calibration has come.
        missing: Topics without a publisher.
        incompatible: Publishers whose messages cannot be received, each with the reason.
        assembled: Frames by what became of them, as of ``FrameAssembler.counts``.
        without_depth: Share of the newest frames that had no depth.
        silent: Topics with publishers on which nothing comes.
        all_silent: Whether those are all that a frame needs.
    """

    name: str
    calibrated: bool
    missing: Sequence[str] = ()
    incompatible: Sequence[str] = ()
    assembled: Mapping[str, int] = field(default_factory=dict)
    without_depth: float = 0.0
    silent: Sequence[str] = ()
    all_silent: bool = False


@dataclass(frozen=True)
class MapReport:
    """A map node at one moment.

    Attributes:
        state: Of its lifecycle.
        cameras: Its cameras.
        frames: Counters of frames.
        build: What became of frames with and without pose.
        figures: Numbers of the map, by name.
        issues: Kind of an issue to its newest message; those that are solved are left out.
        evicted: Voxels that left for want of memory.
    """

    state: str
    cameras: Sequence[CameraReport]
    frames: Snapshot
    build: BuildReport
    figures: Mapping[str, str] = field(default_factory=dict)
    issues: Mapping[str, str] = field(default_factory=dict)
    evicted: int = 0


def map_findings(report: MapReport) -> list[Finding]:
    """What is wrong, the most serious first."""
    found = [Finding(ERROR, kind, text) for kind, text in report.issues.items() if kind == "map"]
    if report.state != "active":
        return found
    found += [
        # What is on no disk is lost with the process.
        Finding(ERROR if kind == "storage" else WARN, kind, text)
        for kind, text in report.issues.items()
        if kind != "map"
    ]
    for camera in report.cameras:
        prefix = f"{camera.name}: " if camera.name else ""
        found += [Finding(ERROR, "topics", f"{prefix}{one}") for one in camera.incompatible]
        if camera.missing:
            topics = ", ".join(camera.missing)
            found.append(
                Finding(WARN, "topics", f"{prefix}nobody publishes {topics}; start it, or remap the topic")
            )
        elif not camera.calibrated:
            found.append(
                Finding(WARN, "camera_info", f"{prefix}no calibration has come; publish camera_info")
            )
        if camera.all_silent:
            text = f"nothing has come for {SILENT:g} s; see that the camera and the perception_node are alive"
            found.append(Finding(WARN, "silent", f"{prefix}{text}"))
        elif camera.silent:
            text = f"nothing comes on {', '.join(camera.silent)}; see that its node is alive and active"
            found.append(Finding(WARN, "silent", f"{prefix}{text}"))
        elif camera.without_depth > _MOST:
            text = "most images have no depth of their time; see depth_slop, and that depth is published"
            found.append(Finding(WARN, "depth", f"{prefix}{text}"))
    if report.frames.age_in <= SILENT < report.frames.age_out and sum(report.build.no_pose.values()):
        found.append(Finding(WARN, "poses", f"frames get no pose: {report.build.last_pose_error}"))
    if report.frames.recent_error:
        found.append(Finding(ERROR, "mapping", report.frames.recent_error))
    if report.frames.recent_malformed:
        found.append(Finding(WARN, "malformed", report.frames.recent_malformed))
    if report.evicted:
        text = f"{counted(report.evicted, 'voxel')} left for want of memory; see max_memory_mb and voxel_size"
        found.append(Finding(WARN, "memory", text))
    return sorted(found, key=lambda one: -one.level)


def map_values(report: MapReport) -> dict[str, str]:
    """Figures by key."""
    frames, build = report.frames, report.build
    values = {
        "state": report.state,
        "frames/in": str(frames.frames_in),
        "frames/mapped": str(frames.frames_out),
        "frames/waiting_for_pose": str(build.waiting),
        "frames/pose_late": str(build.late),
        "rate_hz": f"{frames.out_hz:.2f}",
        **{f"frames/no_pose/{reason}": str(count) for reason, count in sorted(build.no_pose.items())},
        **{f"frames/left_out/{reason}": str(count) for reason, count in sorted(build.left_out.items())},
        **{f"frames/dropped/{reason}": str(count) for reason, count in sorted(frames.dropped.items())},
        **{f"malformed/{reason}": str(count) for reason, count in sorted(frames.malformed.items())},
        **{f"latency_ms/{stage}": f"{one.p50:.1f} {one.p95:.1f}" for stage, one in frames.latency.items()},
        **report.figures,
    }
    for camera in report.cameras:
        prefix = f"{camera.name}/" if camera.name else ""
        values |= {f"{prefix}synchronised/{k}": str(v) for k, v in sorted(camera.assembled.items())}
    return values
