"""Recordings as the field has them: what can be read is read, what is left out is named."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import yaml
from mcap.writer import Writer as McapWriter
from odd_recordings import OddChannel, odd_mcap
from recordings import (
    IMAGE,
    SECOND,
    START,
    TYPES,
    Message,
    camera_info,
    drive,
    image,
    mcap_bytes,
    packed,
    raw,
    write,
    write_split,
)
from rosbags.rosbag2 import StoragePlugin
from zstandard import ZstdCompressor

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.images.decode import decode_depth_message
from perception_contrast.recordings.bag_messages import deserialize
from perception_contrast.recordings.bags import BagSource

TOPIC = "/cam/image_raw"


def images(count: int = 4, topic: str = TOPIC, encoding: str = "rgb8") -> list[Message]:
    return [raw(START + number * SECOND, image(number), topic, encoding) for number in range(count)]


def shown(bag: BagSource) -> list[float]:
    return [float(frame.image.mean()) for frame in bag.frames()]


@pytest.fixture
def expected() -> list[float]:
    return [float(image(number).mean()) for number in range(4)]


@pytest.mark.parametrize(
    "qos",
    [
        "- reliability: reliable\n  depth: 100\n",
        "null",
        "{}",
        "a: b",
        "{{{",
        "- 7",
        "- [1]",
        "- history: keep_last\n  depth: x\n",
        "\t- :",
        "- !!python/object/apply:os.getcwd []",
    ],
)
def test_a_qos_text_that_is_not_whole_counts_as_not_recorded(
    tmp_path: Path, qos: str, expected: list[float]
) -> None:
    path = tmp_path / "a.mcap"
    path.write_bytes(odd_mcap(images(), metadata={"offered_qos_profiles": qos}))
    for recover in (True, False):
        bag = BagSource(path, recover=recover)
        assert shown(bag) == expected and bag.topics[TOPIC].qos == () and bag.lost == ()


@pytest.mark.parametrize(
    "channel",
    [
        OddChannel("/status", "json", "Status", "jsonschema", b"{}", (b'{"a": 1}',) * 3),
        OddChannel("/status", "protobuf", "foxglove.Log", "protobuf", b"\x0a\x01", (b"\x08\x01",) * 3),
        OddChannel("/status", "json", "", "", b"", (b"{}",) * 3),
        OddChannel("/status", "cdr", "x/Unheard", "brandnew", b"?", (b"\0\1\0\0",) * 3),
    ],
)
@pytest.mark.parametrize("profile", ["ros2", ""])
def test_a_channel_that_is_not_ros_is_left_out_and_named(
    tmp_path: Path, channel: OddChannel, profile: str, expected: list[float]
) -> None:
    path = tmp_path / "a.mcap"
    path.write_bytes(odd_mcap(images(), [channel], profile=profile))
    for recover in (True, False):
        bag = BagSource(path, recover=recover)
        assert shown(bag) == expected and list(bag.topics) == [TOPIC]
        assert [message.topic for message in bag.messages()] == [TOPIC] * 4
        (note,) = bag.lost
        assert "'/status'" in note and "3 message(s)" in note
    # Without its index the file says the same.
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 200])
    cut = BagSource(path)
    assert list(cut.topics) == [TOPIC] and any("'/status'" in note for note in cut.lost)


def test_messages_packed_by_themselves_need_no_metadata(tmp_path: Path, expected: list[float]) -> None:
    compressed = [one._replace(data=ZstdCompressor().compress(one.data)) for one in images()]
    (tmp_path / "a.mcap").write_bytes(mcap_bytes(compressed))
    assert shown(BagSource(tmp_path / "a.mcap")) == expected
    assert shown(BagSource(write(tmp_path / "b", compressed, StoragePlugin.SQLITE3))) == expected


def test_a_short_type_name_is_the_long_one(tmp_path: Path, expected: list[float]) -> None:
    (tmp_path / "a.mcap").write_bytes(odd_mcap(images(), type_name="sensor_msgs/Image"))
    bag = BagSource(tmp_path / "a.mcap")
    assert bag.topics[TOPIC].type == IMAGE and shown(bag) == expected
    assert {message.type for message in bag.messages()} == {IMAGE}


@pytest.mark.parametrize("bad", [1, 13, 60, 400])
def test_bad_first_images_are_counted_and_the_rest_is_used(tmp_path: Path, bad: int) -> None:
    first = [
        Message(TOPIC, IMAGE, START - (bad - number) * SECOND, b"\0\1\0\0" if number % 2 else b"")
        for number in range(bad)
    ]
    bag = BagSource(write(tmp_path / "bag", [*first, *images()]))
    assert bag.image_topics() == (TOPIC,) and bag.lost == ()
    errors: list[FrameError] = []
    assert len(list(bag.frames(on_error=errors.append))) == 4 and len(errors) == bad
    assert len(list(bag)) == 4
    assert bag.lost == (f"'{TOPIC}': {bad} image(s) cannot be read (bad_message {bad})",)


def test_hidden_files_beside_a_recording_are_ignored(tmp_path: Path, expected: list[float]) -> None:
    folder = tmp_path / "bag"
    folder.mkdir()
    (folder / "._a.mcap").write_bytes(b"\0\5\x16\7" * 20)
    (folder / "a.mcap").write_bytes(mcap_bytes(images()))
    bag = BagSource(folder)
    assert shown(bag) == expected and bag.lost == ()


def test_a_file_that_is_listed_more_than_once_is_read_once(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "split", images())
    metadata = yaml.safe_load((folder / "metadata.yaml").read_text())
    metadata["rosbag2_bagfile_information"]["relative_file_paths"] *= 40
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    bag = BagSource(folder)
    assert len(list(bag)) == len(images()) and not bag.lost


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    folder = write_split(tmp_path / "split", images())
    sorted(folder.glob("*.mcap"))[1].unlink()
    bag = BagSource(folder)
    assert len(list(bag)) == 2 and bag.lost == ("'split_1.mcap' is listed in metadata.yaml and missing",)
    metadata = yaml.safe_load((folder / "metadata.yaml").read_text())
    metadata["rosbag2_bagfile_information"]["relative_file_paths"] = None
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    assert len(list(BagSource(folder))) == 2


def test_ros1_is_told_with_its_conversion(tmp_path: Path) -> None:
    file = io.BytesIO()
    writer = McapWriter(file)
    writer.start(profile="ros1", library="test")
    schema = writer.register_schema("sensor_msgs/Image", "ros1msg", b"")
    channel = writer.register_channel(TOPIC, "ros1", schema)
    writer.add_message(channel, 1, b"xx", 1)
    writer.finish()
    (tmp_path / "a.mcap").write_bytes(file.getvalue())
    (tmp_path / "old bags").mkdir()
    (tmp_path / "old bags" / "drive.bag").write_bytes(b"#ROSBAG V2.0\n")
    for path in (tmp_path / "a.mcap", tmp_path / "old bags", tmp_path / "old bags" / "drive.bag"):
        with pytest.raises(PerceptionError, match="ROS 1") as caught:
            BagSource(path)
        assert "rosbags-convert --src " in str(caught.value) and "reindex" not in str(caught.value)
    assert f"--src '{tmp_path}/old bags/drive.bag' --dst '{tmp_path}/old bags/drive'" in str(caught.value)


def test_the_first_usable_camera_is_scaled_to_the_image(tmp_path: Path) -> None:
    blank = camera_info(START, 0.0, (0, 0), "/cam/camera_info")
    good = camera_info(START + SECOND, 100.0, (96, 128), "/cam/camera_info")
    bag = BagSource(write(tmp_path / "bag", [blank, *images(), good]))
    cameras = {frame.camera for frame in bag}
    (camera,) = cameras
    assert camera is not None and (camera.height, camera.width) == (48, 64)
    # Half the size halves the focal length; pixel centres lie at integers.
    assert (camera.fx, camera.fy) == (50.0, 50.0) and camera.cx == pytest.approx((64 + 0.5) / 2 - 0.5)


@pytest.mark.parametrize(("binning", "roi"), [((2, 2), (0, 0, 0, 0)), ((0, 0), (8, 4, 48, 64))])
def test_binning_and_region_are_applied(
    tmp_path: Path, binning: tuple[int, int], roi: tuple[int, int, int, int]
) -> None:
    message = camera_info(START, 100.0, (96, 128), "/cam/camera_info")
    info = TYPES.deserialize_cdr(message.data, message.type)
    info.binning_x, info.binning_y = binning
    info.roi = type(info.roi)(*roi, do_rectify=False)
    useless = TYPES.deserialize_cdr(message.data, message.type)
    useless.binning_x, useless.binning_y = 1000, 1000
    kind = message.type
    recorded = [
        message._replace(data=bytes(TYPES.serialize_cdr(useless, kind)), stamp=START - 1),
        message._replace(data=bytes(TYPES.serialize_cdr(info, kind))),
    ]
    camera = next(iter(BagSource(write(tmp_path / "bag", [*recorded, *images()])))).camera
    assert camera is not None and (camera.height, camera.width) == (48, 64)
    assert camera.fx == (50.0 if binning[0] else 100.0)
    assert camera.cx == (pytest.approx(31.75) if binning[0] else 64 - roi[0])


def test_grey_of_16_bits_is_depth_where_its_name_says_so(tmp_path: Path) -> None:
    depth = np.full((4, 6), 1500, np.uint16)
    messages = [
        raw(START, depth, "/cam/depth/image_raw", "mono16"),
        raw(START, depth, "/thermal/image_raw", "mono16"),
    ]
    bag = BagSource(write(tmp_path / "bag", [*messages, *images(1)]))
    assert bag.kind_of("/cam/depth/image_raw") == "depth" and bag.kind_of("/thermal/image_raw") == "color"
    assert bag.image_topics() == (TOPIC, "/thermal/image_raw")


@pytest.mark.parametrize("qos", ["- reliability: reliable", "{{{", "- 7", "null"])
def test_a_db3_with_an_odd_qos_text_is_read_by_its_tables(
    tmp_path: Path, qos: str, expected: list[float]
) -> None:
    """Recovery would read every byte of the file to open it, and lose the other topics' QoS."""
    extra = Message("/odd", "x_msgs/msg/Odd", START, b"{}")
    folder = write(tmp_path / "bag", [*images(), extra._replace(type=IMAGE)], StoragePlugin.SQLITE3)
    # Before, rosbags reads it.
    whole, window = BagSource(folder), (START + SECOND, START + 3 * SECOND)
    part = list(whole.messages([TOPIC], *window))
    with sqlite3.connect(folder / "bag.db3") as database:
        database.execute("UPDATE topics SET offered_qos_profiles = ? WHERE name = ?", (qos, TOPIC))
        database.execute("UPDATE topics SET serialization_format = 'json' WHERE name = '/odd'")
    database.close()
    for recover in (True, False):
        bag = BagSource(folder, recover=recover)
        assert shown(bag) == expected and bag.topics[TOPIC].qos == () and bag.topics[TOPIC].definition
        assert bag.lost == (
            "'/odd' is left out: 1 message(s) that are not ROS 2 (sensor_msgs/msg/Image, json)",
        )
        assert (bag.start, bag.end) == (whole.start, whole.end)
        assert 0 < len(part) < 4 and list(bag.messages([TOPIC], *window)) == part


@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
@pytest.mark.parametrize("name", ["drive #2", "what?", "50%20", "a b&c=d"])
def test_signs_that_mean_something_in_a_uri_may_be_in_a_path(
    tmp_path: Path, name: str, storage: StoragePlugin, expected: list[float]
) -> None:
    # rosbags cannot write there either.
    folder = write(tmp_path / "plain", images(), storage).rename(tmp_path / name)
    bag = BagSource(folder, recover=False)
    assert shown(bag) == expected and bag.lost == ()


def test_a_topic_of_two_types_is_one_of_the_type_with_more_messages(
    tmp_path: Path, expected: list[float]
) -> None:
    """Publishers of two types on one name: whoever plays or decodes it can take one of them."""
    words = packed(TOPIC, START, "std_msgs/msg/String", data="hello")
    file = io.BytesIO()
    writer = McapWriter(file)
    writer.start(profile="ros2", library="test")
    for one in (words, *images()):
        schema = writer.register_schema(one.type, "ros2msg", b"")
        writer.add_message(writer.register_channel(TOPIC, "cdr", schema), one.stamp, one.data, one.stamp)
    writer.finish()
    for data in (file.getvalue(), file.getvalue()[:-200]):
        (tmp_path / "a.mcap").write_bytes(data)
        bag = BagSource(tmp_path / "a.mcap")
        assert shown(bag) == expected and bag.topics[TOPIC].count == 4
        assert {one.type for one in bag.messages()} == {IMAGE}
        assert any("1 message(s) of std_msgs/msg/String, for most are of" in note for note in bag.lost)


def test_the_first_bytes_tell_what_a_file_is(tmp_path: Path, expected: list[float]) -> None:
    mcap = mcap_bytes(images())
    database = next(write(tmp_path / "db", images(), StoragePlugin.SQLITE3).glob("*.db3")).read_bytes()
    named = {
        "a.db3": mcap,
        "a.mcap": database,
        "a.mcap.zstd": mcap,
        "b.mcap": ZstdCompressor().compress(mcap),
        "b.db3": ZstdCompressor().compress(database),
    }
    for name, data in named.items():
        (tmp_path / name).write_bytes(data)
        for recover in (True, False):
            bag = BagSource(tmp_path / name, recover=recover)
            assert shown(bag) == expected and bag.lost == (), name


@pytest.mark.parametrize("listed", [["bag.mcap", "bag.mcap", 7, None, "", "..", "/"], "[" * 3000])
def test_metadata_that_lists_nonsense(tmp_path: Path, listed: object, expected: list[float]) -> None:
    folder = write(tmp_path / "bag", images())
    path = folder / "metadata.yaml"
    content = yaml.safe_load(path.read_text())
    content["rosbag2_bagfile_information"]["relative_file_paths"] = listed
    path.write_text(listed if isinstance(listed, str) else yaml.safe_dump(content))
    assert shown(BagSource(folder)) == expected


def test_a_link_to_nowhere_is_named(tmp_path: Path, expected: list[float]) -> None:
    (tmp_path / "a.mcap").symlink_to(tmp_path / "unmounted.mcap")
    (tmp_path / "b.mcap").write_bytes(mcap_bytes(images()))
    bag = BagSource(tmp_path)
    assert shown(bag) == expected and bag.lost == ("'a.mcap' is a link to a file that does not exist",)


def test_a_message_that_unpacks_to_more_than_any_image_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perception_contrast.recordings.bags._MOST_UNPACKED", 1 << 20)
    recorded = images()
    recorded[1] = recorded[1]._replace(data=ZstdCompressor().compress(bytes(1 << 21)))
    (tmp_path / "a.mcap").write_bytes(mcap_bytes(recorded))
    bag = BagSource(tmp_path / "a.mcap")
    assert len(list(bag)) == 3 and bag.lost == (f"'{TOPIC}': 1 image(s) cannot be read (bad_message 1)",)
    with pytest.raises(PerceptionError, match="unpacks to over 1 MiB"):
        list(BagSource(tmp_path / "a.mcap", recover=False))


def test_values_of_a_wrong_kind_in_a_database_are_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "bag", images(), StoragePlugin.SQLITE3)
    with sqlite3.connect(folder / "bag.db3") as database:
        database.execute("UPDATE messages SET timestamp = 'soon' WHERE id = 2")
    database.close()
    assert len(list(BagSource(folder))) == 3


def test_images_keep_their_numbers_where_some_cannot_be_read(tmp_path: Path) -> None:
    recorded = [raw(START - SECOND, image(9), TOPIC, "unheard"), *images()]
    bag = BagSource(write(tmp_path / "bag", recorded))
    numbered = list(bag.numbered_frames())
    assert [number for number, _ in numbered] == [0, 1, 2, 3, 4]
    assert isinstance(numbered[0][1], FrameError) and numbered[0][1].reason == "unknown_encoding"
    assert [float(one.image.mean()) for _, one in numbered[1:]] == [float(image(n).mean()) for n in range(4)]


def test_why_no_image_can_be_read_is_said(tmp_path: Path) -> None:
    recorded = [raw(START + n * SECOND, image(n), TOPIC, "unheard") for n in range(3)]
    bag = BagSource(write(tmp_path / "bag", recorded))
    for topic in (None, TOPIC):
        with pytest.raises(PerceptionError, match=r"no .*readable images.*'unheard' is not supported"):
            bag.image_topic(topic)
    with pytest.raises(PerceptionError, match="'unheard' is not supported"):
        bag.frames()
    bag = BagSource(write(tmp_path / "other", [*recorded, *images(2, "/good")]))
    assert bag.image_topic() == "/good"
    with pytest.raises(PerceptionError, match=r"readable: /good.*'unheard' is not supported"):
        bag.image_topic(TOPIC)
    with pytest.raises(PerceptionError, match="has no topic '/none'"):
        bag.image_topic("/none")


CASES = {
    "apple_double": "",
    "depth_cd_rvl": "",
    "depth_mono16": "",
    "first_bad": "1 image(s) cannot be read",
    "info_zero_first": "",
    "mixed_json": "'/status' is left out: 1 message(s)",
    "msgzstd_mcap": "",
    "qos_garbage": "",
    "qos_partial": "",
    "short_type_name": "",
    "split_missing": "'split_missing_1.mcap' is listed",
    "static_late": "",
}


@pytest.mark.parametrize("name", CASES)
def test_recorded_cases(cases: Path, name: str) -> None:
    bag = BagSource(cases / name)
    frames = list(bag)
    assert len(frames) == 6 and {frame.size for frame in frames} == {(96, 128)}
    if CASES[name]:
        assert len(bag.lost) == 1 and CASES[name] in bag.lost[0]
    else:
        assert bag.lost == ()
    assert (frames[0].camera is not None) == (name == "info_zero_first")


def test_recorded_ros1(cases: Path) -> None:
    with pytest.raises(PerceptionError, match=r"ROS 1 .*rosbags-convert --src"):
        BagSource(cases / "ros1_in_mcap")


def test_recorded_rvl_that_claims_too_much_says_so(cases: Path) -> None:
    """Its samples are placeholders of one byte value: a size of 16843009x16843009."""
    bag = BagSource(cases / "depth_cd_rvl")
    topic = "/cam/depth/image_raw/compressedDepth"
    assert topic not in bag.image_topics() and "16843009x16843009" in bag.kind_of(topic)


def test_a_folder_of_recordings_names_them(tmp_path: Path) -> None:
    for name in ("c", "a", "d", "b"):
        write(tmp_path / "days" / name, drive(2))
    with pytest.raises(PerceptionError, match=r"give one of the recordings in it: .*a, .*b, .*c and 1 more"):
        BagSource(tmp_path / "days")


def test_recorded_depth(cases: Path) -> None:
    bag, topic = BagSource(cases / "depth_mono16"), "/cam/depth/image_raw"
    assert bag.kind_of(topic) == "depth" and topic not in bag.image_topics()
    for message in bag.messages([topic]):
        depth = decode_depth_message(deserialize(message))
        assert depth.shape == (96, 128) and np.nanmin(depth) > 0.2 and np.nanmax(depth) < 20
