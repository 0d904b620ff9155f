"""Recordings: genuine and real ones where they are at hand, and ones made here byte by byte."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from perception_contrast.core.camera_model import camera_model
from perception_contrast.core.depth_registration import DepthRegistration
from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.images.decode import decode_depth
from perception_contrast.recordings.bag_messages import OfferedQos
from perception_contrast.recordings.bags import BagSource

TYPES = get_typestore(Stores.ROS2_JAZZY)
BEST_EFFORT = Qos(
    QosHistory.KEEP_LAST,
    5,
    QosReliability.BEST_EFFORT,
    QosDurability.VOLATILE,
    QosTime(1, 500),
    QosTime(2, 0),
    QosLiveliness.AUTOMATIC,
    QosTime(3, 0),
    False,
)


def cdr_image(level: int, stamp: int, encoding: str = "rgb8", size: tuple[int, int] = (4, 6)) -> bytes:
    """A little-endian CDR sensor_msgs/Image in which every byte is ``level``, packed by hand."""

    def string(text: str, behind: int) -> bytes:
        packed = struct.pack("<I", len(text) + 1) + text.encode() + b"\0"
        return packed + bytes(-(behind + len(packed)) % 4)

    height, width = size
    body = struct.pack("<iI", stamp // 10**9, stamp % 10**9)
    body += string("camera_optical", len(body))
    body += struct.pack("<II", height, width)
    body += struct.pack("<I", len(encoding) + 1) + encoding.encode() + b"\0\0"
    body += bytes(-len(body) % 4) + struct.pack("<II", width * 3, height * width * 3)
    return b"\0\1\0\0" + body + bytes([level]) * (height * width * 3)


def write_bag(path: Path, storage: StoragePlugin, *, compressed: CompressionMode | None = None) -> Path:
    """Images at 1.0, 1.1, ... s written out of order, depth, and a topic without messages."""
    writer = Writer(path, version=8, storage_plugin=storage)
    if compressed is not None:
        writer.set_compression(compressed, CompressionFormat.ZSTD)
    with writer:
        kind = "sensor_msgs/msg/Image"
        color = writer.add_connection(
            "/camera/image", kind, typestore=TYPES, offered_qos_profiles=[BEST_EFFORT]
        )
        depth = writer.add_connection("/camera/depth", kind, typestore=TYPES)
        writer.add_connection("/silent", "std_msgs/msg/String", typestore=TYPES)
        for index in (2, 0, 1, 3):
            stamp = 10**9 + index * 10**8
            writer.write(color, stamp + 5, cdr_image(index * 10, stamp))
            writer.write(depth, stamp + 7, cdr_image(1, stamp, "16UC1", (4, 6)))
    return path


def write_humble_database(path: Path) -> Path:
    """The tables of rosbag2_storage_sqlite3 in Humble: no message definitions, no hashes."""
    with sqlite3.connect(path) as database:
        database.executescript(
            """
            CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);
            CREATE TABLE metadata(id INTEGER PRIMARY KEY, metadata_version INTEGER NOT NULL,
                metadata TEXT NOT NULL);
            CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
                serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);
            CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL,
                timestamp INTEGER NOT NULL, data BLOB NOT NULL);
            INSERT INTO schema VALUES (3, 'humble');
            INSERT INTO topics VALUES (1, '/camera/image', 'sensor_msgs/msg/Image', 'cdr', '');
            INSERT INTO topics VALUES (2, '/odd', 'nobody_msgs/msg/Unheard', 'cdr', '');
            """
        )
        for stamp, level in ((30, 3), (10, 1), (20, 2)):
            database.execute("INSERT INTO messages VALUES (NULL, 1, ?, ?)", (stamp, cdr_image(level, stamp)))
        database.execute("INSERT INTO messages VALUES (NULL, 2, 25, ?)", (b"\0\1\0\0abcd",))
    database.close()
    return path


@pytest.mark.parametrize("storage", list(StoragePlugin))
@pytest.mark.parametrize("has_metadata", [True, False])
def test_reads_back_what_was_written(tmp_path: Path, storage: StoragePlugin, has_metadata: bool) -> None:
    path = write_bag(tmp_path / "bag", storage)
    if not has_metadata:
        (path / "metadata.yaml").unlink()
    bag = BagSource(path)
    assert {name: (topic.type, topic.count) for name, topic in bag.topics.items()} == {
        "/camera/depth": ("sensor_msgs/msg/Image", 4),
        "/camera/image": ("sensor_msgs/msg/Image", 4),
        "/silent": ("std_msgs/msg/String", 0),
    }
    assert (bag.start, bag.end) == (10**9 + 5, 10**9 + 3 * 10**8 + 7)
    messages = list(bag.messages())
    assert [message.stamp for message in messages] == sorted(message.stamp for message in messages)
    colors = [message for message in messages if message.topic == "/camera/image"]
    assert [message.data for message in colors] == [
        cdr_image(index * 10, 10**9 + index * 10**8) for index in range(4)
    ]
    assert colors[0].type == "sensor_msgs/msg/Image"
    assert list(bag.messages(["/camera/image"])) == colors
    assert list(bag.messages(["/camera/image"], start=colors[1].stamp, stop=colors[3].stamp)) == colors[1:3]
    assert bag.topics["/camera/image"].qos == (
        OfferedQos(
            "keep_last", 5, "best_effort", "volatile", "automatic", 1_000_000_500, 2 * 10**9, 3 * 10**9
        ),
    )


def test_one_file_of_a_folder(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "bag", StoragePlugin.MCAP)
    (file,) = folder.glob("*.mcap")
    assert list(BagSource(file).messages()) == list(BagSource(folder).messages())


def test_split_recording_without_metadata_is_merged(tmp_path: Path) -> None:
    write_humble_database(tmp_path / "b_0.db3")
    folder = write_bag(tmp_path / "bag", StoragePlugin.SQLITE3)
    shutil.copy(next(folder.glob("*.db3")), tmp_path / "a_1.db3")
    bag = BagSource(tmp_path)
    stamps = [message.stamp for message in bag.messages()]
    assert len(stamps) == 12 and stamps == sorted(stamps) and (bag.start, bag.end) == (10, stamps[-1])
    assert bag.topics["/camera/image"].count == 7


def test_frames(tmp_path: Path) -> None:
    bag = BagSource(write_bag(tmp_path / "bag", StoragePlugin.MCAP))
    assert bag.image_topics() == ("/camera/image",)
    frames = list(bag)
    assert [frame.stamp for frame in frames] == [10**9 + index * 10**8 for index in range(4)]
    assert [int(frame.image.max()) for frame in frames] == [0, 10, 20, 30]
    assert frames[0].size == (4, 6) and frames[0].frame_id == "camera_optical"
    with pytest.raises(FrameError) as caught:
        list(bag.frames("/camera/depth"))
    assert caught.value.reason == "not_color"
    refused: list[FrameError] = []
    assert list(bag.frames("/camera/depth", on_error=refused.append)) == [] and len(refused) == 4


def test_database_of_humble_with_unknown_types(tmp_path: Path) -> None:
    bag = BagSource(write_humble_database(tmp_path / "old.db3"))
    assert [message.stamp for message in bag.messages()] == [10, 20, 25, 30]
    assert next(bag.messages(["/odd"])).data == b"\0\1\0\0abcd"
    assert [int(frame.image[0, 0, 0]) for frame in bag.frames()] == [1, 2, 3]
    assert bag.topics["/camera/image"].qos == ()


@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
def test_compressed_recordings(tmp_path: Path, mode: CompressionMode) -> None:
    plain = write_bag(tmp_path / "plain", StoragePlugin.SQLITE3)
    packed = write_bag(tmp_path / "packed", StoragePlugin.SQLITE3, compressed=mode)
    assert list(BagSource(packed).messages()) == list(BagSource(plain).messages())
    if mode is CompressionMode.MESSAGE:
        # Without metadata.yaml the first bytes of each message tell.
        assert list(BagSource(next(packed.glob("*.db3"))).messages()) == list(BagSource(plain).messages())


def test_two_iterations_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    bag = BagSource(write_bag(tmp_path / "bag", StoragePlugin.MCAP))
    for left, right in zip(bag.messages(), bag.messages(), strict=True):
        assert left == right


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PerceptionError, match="does not exist"):
        BagSource(tmp_path / "nowhere")
    with pytest.raises(PerceptionError, match="holds no rosbag2"):
        BagSource(tmp_path)
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(PerceptionError, match="rosbags-convert"):
        BagSource(tmp_path / "old.bag")
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(PerceptionError, match="no recording"):
        BagSource(tmp_path / "text.txt")
    bag = BagSource(write_bag(tmp_path / "bag", StoragePlugin.MCAP))
    with pytest.raises(PerceptionError, match="/camera/image"):
        bag.messages(["/camera/imag"])
    with pytest.raises(PerceptionError, match="carries std_msgs/msg/String"):
        bag.frames("/silent")


def test_empty_recording(tmp_path: Path) -> None:
    with Writer(tmp_path / "bag", version=8) as writer:
        writer.add_connection("/silent", "std_msgs/msg/String", typestore=TYPES)
    with pytest.raises(PerceptionError, match="no messages"):
        BagSource(tmp_path / "bag")


@pytest.mark.parametrize("storage", list(StoragePlugin))
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9])
def test_file_cut_short(tmp_path: Path, storage: StoragePlugin, share: float) -> None:
    folder = write_bag(tmp_path / "bag", storage)
    file = next(file for file in folder.iterdir() if file.suffix != ".yaml")
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    for path in (folder, file):
        with pytest.raises(PerceptionError):
            list(BagSource(path, recover=False).messages())


def test_damage_is_never_another_error(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "bag", StoragePlugin.MCAP)
    (file,) = folder.glob("*.mcap")
    data, rng = file.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data)
        for where in rng.integers(0, len(data), 8):
            damaged[where] = rng.integers(0, 256)
        file.write_bytes(damaged)
        try:
            for _ in BagSource(file).frames("/camera/image"):
                pass
        except PerceptionError as error:
            assert str(error)


def test_real_kitchen(shared: Path) -> None:
    bag = BagSource(shared / "data/kitchen_rgbd")
    assert bag.image_topics() == ("/camera/color/image_raw/compressed",)
    frames = list(bag.frames())
    assert len(frames) == 50 and {frame.size for frame in frames} == {(480, 640)}
    assert frames[0].camera is not None and frames[0].camera.fx == 585.0
    stored = TYPES.deserialize_cdr(
        next(bag.messages([bag.image_topics()[0]])).data, "sensor_msgs/msg/CompressedImage"
    )
    reference = cv2.imdecode(stored.data, cv2.IMREAD_COLOR)[..., ::-1]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(frames[0].image, reference)


def test_real_depth_meets_its_color_camera(shared: Path) -> None:
    bag = BagSource(shared / "data/kitchen_rgbd")

    def first(topic: str):  # type: ignore[no-untyped-def]
        message = next(bag.messages([topic]))
        return TYPES.deserialize_cdr(message.data, message.type)

    image = first("/camera/depth/image_rect_raw")
    depth = decode_depth(
        image.data,
        height=image.height,
        width=image.width,
        step=image.step,
        encoding=image.encoding,
        is_bigendian=bool(image.is_bigendian),
    )
    assert depth.shape == (240, 320) and np.nanmin(depth) > 0.3 and np.nanmax(depth) < 10
    infos = [first(f"/camera/{name}/camera_info") for name in ("depth", "color")]
    cameras = [camera_model(info.height, info.width, info.k, info.d) for info in infos]
    registered = DepthRegistration.of_cameras(*cameras).apply(depth)
    assert registered.shape == (480, 640)
    rows, columns = np.mgrid[20:460:37, 20:620:41]
    # Both images are the same view at two sizes: pixel (x, y) lies at about (x / 2, y / 2).
    for row, column in zip(rows.ravel(), columns.ravel(), strict=True):
        near = depth[row // 2 - 1 : row // 2 + 2, column // 2 - 1 : column // 2 + 2]
        value = registered[row, column]
        assert np.isnan(value) or (near == value).any()


def test_genuine_recording(shared: Path) -> None:
    (file,) = (shared / "data/recorded_rosbag2").glob("*.mcap")
    bag = BagSource(file)
    messages = list(bag.messages())
    assert len(messages) == sum(topic.count for topic in bag.topics.values()) == 194
    assert (messages[0].stamp, messages[-1].stamp) == (bag.start, bag.end)
    assert bag.topics["/rosout"].qos[0].durability == "transient_local"
    assert set(bag.image_topics()) == {"/image", "/compressed_image"}
    for topic in bag.image_topics():
        (frame,) = bag.frames(topic)
        assert frame.size == (480, 640) and frame.frame_id == "base_link" and frame.image.std() > 30
        assert frame.camera is not None and frame.camera.cx == 320.0
    raw = next(bag.messages(["/image"])).data
    assert next(bag.frames("/image")).image.tobytes() == raw[-480 * 640 * 3 :]
