"""How a node and its cameras fare, in numbers, and what follows from that in words. Knows no ROS.

docs/diagnostics.md has the cure for each message.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from perception_contrast.ros.monitoring.statistics import Snapshot

OK, WARN, ERROR = 0, 1, 2
STALE_AFTER = 3.0
STUCK_AFTER = 10.0
# Below this share of the expected rate, input is too slow.
SLOW = 0.8

MESSAGES = {
    "models": "models: {reason}",
    "stuck": "one batch has been computed for {seconds:.0f} s",
    "frame_failed": "a frame could not be processed: {error}",
    "configuring": "configuring: {what}: {progress} ({seconds:.0f} s)",
    "not_active": "{state}: frames are not processed",
    "malformed": "malformed input: {error}",
    "unheard": "a publisher on {topic} cannot be heard: {reason}",
    "no_publisher": "no publisher on {topic}: check the remapping of `{input}` and image_transport{similar}",
    "nothing_arrives": "{topic} has a publisher but nothing arrives: check its rate and QoS",
    "stopped": "no image on {topic} for {seconds:.0f} s",
    "slow_input": "{topic} delivers {rate:.1f} frames/s; {expected:g} are expected",
    "unpaired": "{share:.0f} % of the images on {topic} have no {other} of their moment",
    "zero_stamps": "images on {topic} have no stamp",
    "future_stamps": "stamps on {topic} are in the future by the node's clock",
    "not_offered": "a subscriber of {topic} asks for a {policy} that is not offered",
    "switched_off": "somebody listens to {output}, which parameter `outputs` leaves out",
    "engine": "given up while serving: {warning}",
    "vocabulary": "vocabulary: {reason}",
    "state": "the vocabulary is not kept: {reason}",
    "parameters": "refused: {reason}",
    "loading": "loading {what}, while the former models serve: {progress} ({seconds:.0f} s)",
    "idle": "idle: no output has a subscriber",
    "rate": "{rate:.1f} frames/s",
}
_RANK = {kind: rank for rank, kind in enumerate(MESSAGES)}


@dataclass(frozen=True)
class Finding:
    """kind: of MESSAGES."""

    level: int
    kind: str
    text: str


def finding(level: int, kind: str, **values: object) -> Finding:
    return Finding(level, kind, MESSAGES[kind].format(**values))


@dataclass(frozen=True)
class CameraReport:
    """replaced, rate_limited: frames that a newer one displaced. pairs, stamps: counts by outcome.

    new_pairs, new_stamps: the same since the report before. mismatches: publishers that are there and
    cannot be heard. unheard: outputs' topics to the policy that a subscriber asks too much of.
    """

    name: str
    snapshot: Snapshot
    topic: str = ""
    input: str = "image"
    listening: bool = False
    wanted: bool = False
    publishers: int = 0
    similar: Sequence[str] = ()
    mismatches: Sequence[str] = ()
    subscribers: Mapping[str, int] = field(default_factory=dict)
    unheard: Mapping[str, str] = field(default_factory=dict)
    switched_off: Sequence[str] = ()
    expected_hz: float = 0.0
    replaced: int = 0
    rate_limited: int = 0
    waiting: bool = False
    pairs: Mapping[str, int] = field(default_factory=dict)
    new_pairs: Mapping[str, int] = field(default_factory=dict)
    stamps: Mapping[str, int] = field(default_factory=dict)
    new_stamps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeReport:
    """troubles: kind of MESSAGES to what was said last and is still news. busy: seconds of the batch."""

    state: str
    cameras: Sequence[CameraReport] = ()
    models: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    engines: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    vocabulary_version: int = 0
    vocabulary_size: int = 0
    loading: str = ""
    progress: str = ""
    loading_seconds: float = 0.0
    issues: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    busy: float = 0.0
    hardware: Mapping[str, str] = field(default_factory=dict)


def of_node(report: NodeReport) -> list[Finding]:
    """Most serious first; the last of them says that all is well."""
    found = []
    for kind, reason in report.issues.items():
        found.append(finding(ERROR if kind == "models" else WARN, kind, reason=reason))
    if report.busy > STUCK_AFTER:
        found.append(finding(ERROR, "stuck", seconds=report.busy))
    going_on = {
        "what": report.loading,
        "progress": " ".join(report.progress.split()),
        "seconds": report.loading_seconds,
    }
    if report.loading and report.state != "active":
        found.append(finding(WARN, "configuring", **going_on))
    elif report.state != "active":
        found.append(finding(WARN, "not_active", state=report.state))
    elif report.loading:
        found.append(finding(OK, "loading", **going_on))
    if report.warnings:
        found.append(finding(WARN, "engine", warning=report.warnings[-1]))
    return most_serious_first(found)


def of_camera(report: CameraReport, state: str = "active") -> list[Finding]:
    """Most serious first; the last of them says that all is well. Nothing of one that is not active."""
    seen, found = report.snapshot, []
    if seen.recent_error:
        found.append(finding(ERROR, "frame_failed", error=seen.recent_error))
    if seen.recent_malformed:
        found.append(finding(WARN, "malformed", error=seen.recent_malformed))
    if state != "active":
        return most_serious_first(found)
    if report.listening:
        found += _of_input(report)
    found += [
        finding(WARN, "not_offered", topic=topic, policy=policy) for topic, policy in report.unheard.items()
    ]
    found += [finding(WARN, "switched_off", output=output) for output in report.switched_off]
    if report.wanted:
        found.append(finding(OK, "rate", rate=seen.out_hz))
    else:
        found.append(finding(OK, "idle"))
    return most_serious_first(found)


def _of_input(report: CameraReport) -> list[Finding]:
    seen, topic = report.snapshot, report.topic
    found = [finding(WARN, "unheard", topic=topic, reason=reason) for reason in report.mismatches]
    if seen.age_in > STALE_AFTER:
        if report.publishers == 0:
            similar = f"; there are {', '.join(report.similar)}" if report.similar else ""
            found.append(finding(WARN, "no_publisher", topic=topic, input=report.input, similar=similar))
        elif math.isinf(seen.age_in):
            found.append(finding(WARN, "nothing_arrives", topic=topic))
        else:
            found.append(finding(WARN, "stopped", topic=topic, seconds=seen.age_in))
    elif 0.0 < seen.in_hz < SLOW * report.expected_hz:
        found.append(finding(WARN, "slow_input", topic=topic, rate=seen.in_hz, expected=report.expected_hz))
    for other in ("depth", "camera_info"):
        outcomes = {k.partition("/")[2]: n for k, n in report.new_pairs.items() if k.startswith(f"{other}/")}
        missing, total = outcomes.get("missing", 0), sum(outcomes.values())
        if 2 * missing > total:
            found.append(finding(WARN, "unpaired", share=100 * missing / total, topic=topic, other=other))
    if report.new_stamps.get("zero"):
        found.append(finding(WARN, "zero_stamps", topic=topic))
    if report.new_stamps.get("future"):
        found.append(finding(WARN, "future_stamps", topic=topic))
    return found


def most_serious_first(found: Iterable[Finding]) -> list[Finding]:
    """By level, then in the order of MESSAGES: what one camera said yields to no other's silence."""
    return sorted(found, key=lambda one: (-one.level, _RANK[one.kind]))


def node_values(report: NodeReport) -> dict[str, str]:
    """Keys and values, numbers written so that ``float()`` reads them."""
    pairs = {
        "state": report.state,
        "vocabulary/version": str(report.vocabulary_version),
        "vocabulary/size": str(report.vocabulary_size),
        "vocabulary/refused": str(report.counts.get("vocabulary", 0)),
        "parameters/refused": str(report.counts.get("parameters", 0)),
        "models/failures": str(report.counts.get("models", 0)),
        "queue/busy_s": f"{report.busy:.3f}",
        "queue/waiting": str(sum(one.waiting for one in report.cameras)),
        "time/jumps": str(report.counts.get("time", 0)),
    }
    if report.loading:
        pairs |= {"loading": report.loading, "loading/progress": report.progress}
        pairs["loading/seconds"] = f"{report.loading_seconds:.1f}"
    for role, (model, space) in report.models.items():
        pairs |= {f"model/{role}": model, f"space/{role}": space}
    pairs |= {f"engine/{role}": why for role, why in report.engines.items()}
    if report.warnings:
        pairs["engine/warnings"] = "; ".join(report.warnings)
    return pairs | dict(report.hardware)


def camera_values(report: CameraReport) -> dict[str, str]:
    """Keys and values, numbers written so that ``float()`` reads them."""
    seen = report.snapshot
    pairs = {
        "input/topic": report.topic,
        "input/listening": str(report.listening).lower(),
        "input/publishers": str(report.publishers),
        "frames/in": str(seen.frames_in),
        "frames/out": str(seen.frames_out),
        "frames/replaced": str(report.replaced),
        "frames/rate_limited": str(report.rate_limited),
        "frames/malformed": str(sum(seen.malformed.values())),
        "frames/not_active": str(seen.dropped.get("not_active", 0)),
        "frames/not_wanted": str(seen.dropped.get("not_wanted", 0)),
        "rate/in_hz": f"{seen.in_hz:.2f}",
        "rate/out_hz": f"{seen.out_hz:.2f}",
        "rate/expected_hz": f"{report.expected_hz:g}",
        "age/newest_s": f"{seen.age_in:.3f}",
        "worker/errors": str(seen.errors),
        "worker/last_error": seen.recent_error,
        "malformed/last": seen.recent_malformed,
    }
    pairs |= {f"malformed/{reason}": str(count) for reason, count in sorted(seen.malformed.items())}
    pairs |= {f"sync/{outcome}": str(count) for outcome, count in sorted(report.pairs.items())}
    pairs |= {f"stamps/{kind}": str(count) for kind, count in sorted(report.stamps.items())}
    for stage, (p50, p95) in seen.latency.items():
        pairs |= {f"latency_ms/{stage}/p50": f"{p50:.2f}", f"latency_ms/{stage}/p95": f"{p95:.2f}"}
    return pairs | {f"subscribers/{name}": str(count) for name, count in report.subscribers.items()}
