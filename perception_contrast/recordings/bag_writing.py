"""Writing of recordings: an MCAP file in a rosbag2 folder, with the types and QoS of its topics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from perception_contrast.recordings.bag_messages import OfferedQos
from perception_contrast.recordings.message_types import message_types

# The metadata of rosbag2 in Humble (and what Jazzy reads too).
_METADATA_VERSION = 8


def mcap_writer(folder: Path) -> Writer:
    """A writer of a new folder; it is a context manager.

    Args:
        folder: Must not exist.
    """
    writer = Writer(folder, version=_METADATA_VERSION, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    return writer


def add_topic(writer: Writer, topic: str, kind: str, *, latched: bool, depth: int = 2) -> Any:
    """A connection for messages of a type that this package knows.

    Args:
        writer: Opened.
        topic: Full name.
        kind: Such as "sensor_msgs/msg/Image".
        latched: Whether late subscribers get the last message.
        depth: Of the publisher's history.
    """
    durability = "transient_local" if latched else "volatile"
    offered = OfferedQos("keep_last", 1 if latched else depth, "reliable", durability, "automatic", 0, 0, 0)
    return writer.add_connection(
        topic, kind, typestore=message_types(), offered_qos_profiles=[rosbags_qos(offered)]
    )


def rosbags_qos(offered: OfferedQos) -> Qos:
    """The profile as rosbags has it."""
    return Qos(
        history=QosHistory[offered.history.upper()],
        depth=offered.depth,
        reliability=QosReliability[offered.reliability.upper()],
        durability=QosDurability[offered.durability.upper()],
        deadline=QosTime(*divmod(offered.deadline, 10**9)),
        lifespan=QosTime(*divmod(offered.lifespan, 10**9)),
        liveliness=QosLiveliness[offered.liveliness.upper()],
        liveliness_lease_duration=QosTime(*divmod(offered.liveliness_lease, 10**9)),
        avoid_ros_namespace_conventions=False,
    )
