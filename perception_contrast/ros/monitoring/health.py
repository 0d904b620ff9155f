"""Health of a node and its cameras: reports in numbers, and the findings that follow. Knows no ROS.

docs/diagnostics.md has the remedy for each message.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from perception_contrast.ros.monitoring.statistics import Snapshot

OK, WARN, ERROR = 0, 1, 2
# Seconds without an image, and seconds of one batch.
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
    "incompatible_publisher": "messages of a publisher on {topic} cannot be received: {reason}",
    "no_publisher": "no publisher on {topic}: check the remapping of `{input}` and image_transport{similar}",
    "nothing_arrives": "{topic} has a publisher but nothing arrives: check its rate and QoS",
    "stopped": "no image on {topic} for {seconds:.0f} s",
    "slow_input": "{topic} delivers {rate:.1f} frames/s; {expected:g} are expected",
    "unpaired": "{share:.0f} % of the images on {topic} have no {other} with a matching stamp; "
    "{other} is read from {read}, publishers there: {publishers}",
    "zero_stamps": "images on {topic} have no stamp",
    "future_stamps": "stamps on {topic} are in the future by the node's clock",
    "deadline": "target_rate of {target:g} frames/s is not held: frames take {load:.1f} times what it leaves "
    "them; given up: {given_up}",
    "unfamiliar": "unfamiliar images on {topic}: {warning}",
    "without_boxes": "no detections_3d of {topic}: {reason}",
    "incompatible_subscriber": "a subscriber of {topic} asks for a {policy} that is not offered",
    "switched_off": "{output} has a subscriber, but parameter `outputs` leaves it out",
    "engine": "an engine was given up while serving: {warning}",
    "vocabulary": "vocabulary: {reason}",
    "texts": "texts cannot be encoded: {reason}",
    "trained_absent": "{model} was trained to call {labels} absent: show an example, or take language_model "
    "siglip2-b16",
    "state": "the vocabulary is not stored: {reason}",
    "parameters": "a change of parameters was refused: {reason}",
    "loading": "loading {what} while the previous models stay: {progress} ({seconds:.0f} s)",
    "idle": "idle: no output has a subscriber",
    "rate": "{rate:.1f} frames/s",
}
# States in which the node waits for its models.
_LOADING_STATES = ("configuring", "activating")
_RANK = {kind: rank for rank, kind in enumerate(MESSAGES)}


@dataclass(frozen=True)
class Finding:
    """level: OK, WARN or ERROR. kind: a key of MESSAGES."""

    level: int
    kind: str
    text: str


def finding(level: int, kind: str, **values: object) -> Finding:
    return Finding(level, kind, MESSAGES[kind].format(**values))


@dataclass(frozen=True)
class PairedTopic:
    """read: the topic. publishers: their number."""

    read: str
    publishers: int


@dataclass(frozen=True)
class CameraReport:
    """State of one camera.

    Attributes:
        topic: That is read; ``input`` is its name before remapping.
        is_subscribed: Whether the topic is read now.
        has_subscribers: Whether an output that may be computed has subscribers.
        publishers: Number of publishers on the topic.
        similar_topics: Topics that may have been meant, where nobody publishes.
        incompatible_publishers: Topic and reason of each publisher whose messages cannot be received.
        subscribers: Output to its number of subscribers.
        incompatible_subscribers: Topic of an output to the QoS policy that a subscriber asks too much of.
        switched_off: Outputs that have subscribers but may not be computed.
        replaced: Frames that a newer one displaced while the worker was busy.
        rate_limited: Frames that a newer one displaced while the rate limit held them back.
        waiting: Whether a frame waits.
        paired: What is paired with the images, "depth" or "camera_info", to where it is read.
        pairs, stamps: Counts by outcome; new_pairs, new_stamps: the same since the report before.
    """

    name: str
    snapshot: Snapshot
    topic: str = ""
    input: str = "image"
    is_subscribed: bool = False
    has_subscribers: bool = False
    publishers: int = 0
    similar_topics: Sequence[str] = ()
    incompatible_publishers: Sequence[tuple[str, str]] = ()
    subscribers: Mapping[str, int] = field(default_factory=dict)
    incompatible_subscribers: Mapping[str, str] = field(default_factory=dict)
    switched_off: Sequence[str] = ()
    expected_hz: float = 0.0
    replaced: int = 0
    rate_limited: int = 0
    waiting: bool = False
    paired: Mapping[str, PairedTopic] = field(default_factory=dict)
    pairs: Mapping[str, int] = field(default_factory=dict)
    new_pairs: Mapping[str, int] = field(default_factory=dict)
    stamps: Mapping[str, int] = field(default_factory=dict)
    new_stamps: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DeadlineReport:
    """How deadline mode stands.

    Attributes:
        target_hz: The rate to hold.
        load: What frames take without rescoring, as a share of the time that the rate leaves them.
        holds: Whether the rate is held.
        exhausted: Whether it is not, and nothing is left to give up.
        short_side: Of the network's input, in force.
        rescoring_ms: In force; inf for no limit.
        draw_every: One frame in so many is drawn.
        given_up: In words; empty for nothing.
    """

    target_hz: float
    load: float
    holds: bool
    exhausted: bool
    short_side: int
    rescoring_ms: float
    draw_every: int
    given_up: Sequence[str] = ()


@dataclass(frozen=True)
class NodeReport:
    """State of a node.

    Attributes:
        models: Role to model name and embedding space; ``engines`` by the same roles.
        trained_absent: Labels in force that the language model was trained to call absent.
        self_calibration: How the measurement of the place's level stands, "" where none was asked for.
        encoding_texts: How far the texts are that are encoded beside the frames, "" where none is.
        text_failures: What lacks vectors that could not be made, with the remedy, in a line each.
        loading: Names of the models of a load in progress, "" for none.
        issues: Kind of MESSAGES to the newest message.
        counts: Kind to the number of issues since start.
        busy_seconds: How long the batch in progress has taken.
        hardware: Keys and values of the machine.
        deadline: How deadline mode stands; None while it is off.
    """

    state: str
    cameras: Sequence[CameraReport] = ()
    models: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    engines: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    self_calibration: str = ""
    encoding_texts: str = ""
    text_failures: Sequence[str] = ()
    vocabulary_version: int = 0
    vocabulary_size: int = 0
    trained_absent: Sequence[str] = ()
    loading: str = ""
    progress: str = ""
    loading_seconds: float = 0.0
    issues: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    busy_seconds: float = 0.0
    hardware: Mapping[str, str] = field(default_factory=dict)
    deadline: DeadlineReport | None = None


def node_findings(report: NodeReport) -> list[Finding]:
    """What there is to say of a node, most serious first; empty if all is well."""
    found = []
    for kind, reason in report.issues.items():
        found.append(finding(ERROR if kind == "models" else WARN, kind, reason=reason))
    if report.busy_seconds > STUCK_AFTER:
        found.append(finding(ERROR, "stuck", seconds=report.busy_seconds))
    load = {
        "what": report.loading,
        "progress": " ".join(report.progress.split()),
        "seconds": report.loading_seconds,
    }
    if report.loading and report.state in _LOADING_STATES:
        found.append(finding(WARN, "configuring", **load))
    else:
        if report.state != "active":
            found.append(finding(WARN, "not_active", state=report.state))
        if report.loading:
            # Models that replace others load in any state.
            found.append(finding(OK, "loading", **load))
    found += [finding(WARN, "texts", reason=" ".join(reason.split())) for reason in report.text_failures]
    if report.trained_absent:
        model = report.models["semantic"][0] if "semantic" in report.models else "the language model"
        labels = ", ".join(report.trained_absent)
        found.append(finding(WARN, "trained_absent", model=model, labels=labels))
    if report.warnings:
        found.append(finding(WARN, "engine", warning=report.warnings[-1]))
    deadline = report.deadline
    if deadline is not None and deadline.exhausted:
        given_up = "; ".join(deadline.given_up)
        values = {"target": deadline.target_hz, "load": deadline.load, "given_up": given_up}
        found.append(finding(WARN, "deadline", **values))
    return most_serious_first(found)


def camera_findings(report: CameraReport, state: str = "active") -> list[Finding]:
    """What there is to say of a camera, most serious first. state: lifecycle state of the node."""
    snapshot, found = report.snapshot, []
    if snapshot.recent_error:
        found.append(finding(ERROR, "frame_failed", error=snapshot.recent_error))
    if snapshot.recent_malformed:
        found.append(finding(WARN, "malformed", error=snapshot.recent_malformed))
    if state != "active":
        return most_serious_first(found)
    if report.is_subscribed:
        found += _input_findings(report)
    if snapshot.unfamiliar and report.has_subscribers:
        found.append(finding(WARN, "unfamiliar", topic=report.topic, warning=snapshot.unfamiliar))
    if snapshot.without_boxes and report.subscribers.get("detections_3d"):
        found.append(finding(WARN, "without_boxes", topic=report.topic, reason=snapshot.without_boxes))
    found += [
        finding(WARN, "incompatible_subscriber", topic=topic, policy=policy)
        for topic, policy in report.incompatible_subscribers.items()
    ]
    found += [finding(WARN, "switched_off", output=output) for output in report.switched_off]
    if report.has_subscribers:
        found.append(finding(OK, "rate", rate=snapshot.out_hz))
    else:
        found.append(finding(OK, "idle"))
    return most_serious_first(found)


def _input_findings(report: CameraReport) -> list[Finding]:
    snapshot, topic = report.snapshot, report.topic
    found = [
        finding(WARN, "incompatible_publisher", topic=read, reason=reason)
        for read, reason in report.incompatible_publishers
    ]
    if snapshot.age_in > STALE_AFTER:
        if report.publishers == 0:
            similar = f"; there are {', '.join(report.similar_topics)}" if report.similar_topics else ""
            found.append(finding(WARN, "no_publisher", topic=topic, input=report.input, similar=similar))
        elif math.isinf(snapshot.age_in):
            found.append(finding(WARN, "nothing_arrives", topic=topic))
        else:
            found.append(finding(WARN, "stopped", topic=topic, seconds=snapshot.age_in))
    elif 0.0 < snapshot.in_hz < SLOW * report.expected_hz:
        found.append(
            finding(WARN, "slow_input", topic=topic, rate=snapshot.in_hz, expected=report.expected_hz)
        )
    for other in ("depth", "camera_info"):
        outcomes = {k.partition("/")[2]: n for k, n in report.new_pairs.items() if k.startswith(f"{other}/")}
        missing, total = outcomes.get("missing", 0), sum(outcomes.values())
        if 2 * missing > total:
            found.append(
                finding(
                    WARN,
                    "unpaired",
                    share=100 * missing / total,
                    topic=topic,
                    other=other,
                    **vars(report.paired[other]),
                )
            )
    if report.new_stamps.get("zero"):
        found.append(finding(WARN, "zero_stamps", topic=topic))
    if report.new_stamps.get("future"):
        found.append(finding(WARN, "future_stamps", topic=topic))
    return found


def most_serious_first(found: Iterable[Finding]) -> list[Finding]:
    """By level, then in the order of MESSAGES."""
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
        "queue/busy_s": f"{report.busy_seconds:.3f}",
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
    if report.self_calibration:
        pairs["self_calibration"] = report.self_calibration
    if report.deadline is not None:
        pairs |= _deadline_values(report.deadline)
    if report.encoding_texts:
        pairs["vocabulary/encoding"] = report.encoding_texts
    return pairs | dict(report.hardware)


def _deadline_values(report: DeadlineReport) -> dict[str, str]:
    return {
        "deadline/target_hz": f"{report.target_hz:g}",
        "deadline/holds": str(report.holds).lower(),
        "deadline/load": f"{report.load:.2f}",
        "deadline/short_side": str(report.short_side),
        "deadline/rescoring_ms": f"{report.rescoring_ms:.0f}",
        "deadline/draw_every": str(report.draw_every),
        "deadline/given_up": "; ".join(report.given_up) or "nothing",
    }


def camera_values(report: CameraReport) -> dict[str, str]:
    """Keys and values, numbers written so that ``float()`` reads them."""
    snapshot = report.snapshot
    pairs = {
        "input/topic": report.topic,
        "input/listening": str(report.is_subscribed).lower(),
        "input/publishers": str(report.publishers),
        "frames/in": str(snapshot.frames_in),
        "frames/out": str(snapshot.frames_out),
        "frames/replaced": str(report.replaced),
        "frames/rate_limited": str(report.rate_limited),
        "frames/malformed": str(sum(snapshot.malformed.values())),
        "frames/not_active": str(snapshot.dropped.get("not_active", 0)),
        "frames/not_wanted": str(snapshot.dropped.get("not_wanted", 0)),
        "rate/in_hz": f"{snapshot.in_hz:.2f}",
        "rate/out_hz": f"{snapshot.out_hz:.2f}",
        "rate/expected_hz": f"{report.expected_hz:g}",
        "age/newest_s": f"{snapshot.age_in:.3f}",
        "worker/errors": str(snapshot.errors),
        "worker/last_error": snapshot.recent_error,
        "malformed/last": snapshot.recent_malformed,
    }
    pairs |= {f"malformed/{reason}": str(count) for reason, count in sorted(snapshot.malformed.items())}
    pairs |= {f"sync/{outcome}": str(count) for outcome, count in sorted(report.pairs.items())}
    pairs |= {f"stamps/{kind}": str(count) for kind, count in sorted(report.stamps.items())}
    pairs |= {f"rescoring/{what}": str(count) for what, count in sorted(snapshot.rescoring.items())}
    for stage, (p50, p95) in snapshot.latency.items():
        pairs |= {f"latency_ms/{stage}/p50": f"{p50:.2f}", f"latency_ms/{stage}/p95": f"{p95:.2f}"}
    return pairs | {f"subscribers/{name}": str(count) for name, count in report.subscribers.items()}
