"""The QoS that publishers offered when they were recorded, as far as the recording says it whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rosbags.rosbag2.metadata import parse_qos

from perception_contrast.recordings.bag_messages import OfferedQos, nanoseconds


def recorded_profiles(text: Any) -> tuple[Any, ...]:
    """The profiles of a topic's ``offered_qos_profiles``.

    Args:
        text: YAML, or what was read of it. Recorders of other projects write parts of profiles, null,
            or text that is no YAML; playback needs none of it.

    Returns:
        Profiles of rosbags; empty where the text is not a list of whole profiles.
    """
    try:
        return tuple(parse_qos(text))
    except Exception:  # a YAML parser and a reader of mappings on text of any kind
        return ()


def offered_qos(profiles: Iterable[Any]) -> tuple[OfferedQos, ...]:
    """Profiles of rosbags as ours, each once. Profiles with values of a wrong kind are left out."""
    offered = []
    for profile in profiles:
        try:
            offered.append(_offered(profile))
        except (AttributeError, TypeError, ValueError, OverflowError):
            continue
    return tuple(dict.fromkeys(offered))


def _offered(qos: Any) -> OfferedQos:
    return OfferedQos(
        history=qos.history.name.lower(),
        depth=int(qos.depth),
        reliability=qos.reliability.name.lower(),
        durability=qos.durability.name.lower(),
        liveliness=qos.liveliness.name.lower(),
        deadline=nanoseconds(qos.deadline.sec, qos.deadline.nsec),
        lifespan=nanoseconds(qos.lifespan.sec, qos.lifespan.nsec),
        liveliness_lease=nanoseconds(qos.liveliness_lease_duration.sec, qos.liveliness_lease_duration.nsec),
    )
