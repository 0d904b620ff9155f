"""bag_player over real DDS: what arrives is what `rosbags` reads, in that order, with a clock that fits."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

pytestmark = pytest.mark.ros
rclpy = pytest.importorskip("rclpy")

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.serialization import deserialize_message  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from perception_contrast.nodes.bag_player import ros_arguments  # noqa: E402
from perception_contrast.recordings.bag_messages import BagTopic, OfferedQos  # noqa: E402
from perception_contrast.recordings.bags import BagSource  # noqa: E402
from perception_contrast.ros.messages.message_classes import message_class  # noqa: E402
from perception_contrast.ros.playback.bag_publisher import BagPublisher  # noqa: E402
from perception_contrast.ros.playback.playback_clock import PlaybackClock  # noqa: E402
from perception_contrast.ros.playback.recorded_qos import publisher_qos  # noqa: E402

START = 1_700_000_000_000_000_000
MILLISECOND = 1_000_000
Sent = list[tuple[str, str, bytes]]


class Collector:
    """Subscribes to topics and keeps serialised messages in order of arrival."""

    def __init__(self, topics: dict[str, type]) -> None:
        self.got: dict[str, list[bytes]] = defaultdict(list)
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("collector", context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        qos = QoSProfile(depth=500, reliability=ReliabilityPolicy.RELIABLE)
        for name, kind in topics.items():
            self.node.create_subscription(kind, name, self.got[name].append, qos, raw=True)

    def spin_until(self, condition: Callable[[], bool], timeout: float = 15.0) -> bool:
        end = time.monotonic() + timeout
        while not condition() and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.05)
        return condition()

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@contextmanager
def collecting(topics: dict[str, type]) -> Iterator[Collector]:
    collector = Collector(topics)
    try:
        yield collector
    finally:
        collector.close()


@contextmanager
def player(repository: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "perception_contrast.nodes.bag_player", *arguments]
    process = subprocess.Popen(
        command,
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def write_bag(path: Path, plugin: StoragePlugin, messages: int = 30) -> None:
    """Strings, noise images, and messages of a type that no ROS has, 10 ms apart."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    store.register(get_types_from_msg("uint8 nothing", "made_up_msgs/msg/Nothing"))
    string, image, header = (
        store.types[name] for name in ("std_msgs/msg/String", "sensor_msgs/msg/Image", "std_msgs/msg/Header")
    )
    time_type, nothing = store.types["builtin_interfaces/msg/Time"], store.types["made_up_msgs/msg/Nothing"]
    rng = np.random.default_rng(0)
    with Writer(path, version=8, storage_plugin=plugin) as writer:
        words = writer.add_connection("/words", "std_msgs/msg/String", typestore=store)
        images = writer.add_connection("/images", "sensor_msgs/msg/Image", typestore=store)
        odd = writer.add_connection("/odd", "made_up_msgs/msg/Nothing", typestore=store)
        for i in range(messages):
            stamp = START + i * 10 * MILLISECOND
            writer.write(words, stamp, store.serialize_cdr(string(f"word {i}"), "std_msgs/msg/String"))
            noise = rng.integers(0, 256, 480 * 640 * 3, dtype=np.uint8)
            made = header(time_type(stamp // 10**9, stamp % 10**9), "camera")
            source_image = image(made, 480, 640, "rgb8", 0, 1920, noise)
            writer.write(images, stamp, store.serialize_cdr(source_image, "sensor_msgs/msg/Image"))
            writer.write(odd, stamp, store.serialize_cdr(nothing(1), "made_up_msgs/msg/Nothing"))


def recorded(path: Path) -> Sent:
    with AnyReader([path]) as reader:
        # RTPS pads payloads to a multiple of four bytes.
        return [(c.topic, c.msgtype, bytes(d) + bytes(-len(d) % 4)) for c, _, d in reader.messages()]


def python_class(type_name: str) -> type | None:
    package, _, name = type_name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)  # type: ignore[no-any-return]
    except ImportError:
        return None


def assert_plays_as_recorded(path: Path, arguments: Sequence[str], repository: Path) -> str:
    """Everything with an installed type arrives unchanged and in order; the player's output."""
    messages = [(t, k, d) for t, k, d in recorded(path) if python_class(k) is not None]
    topics = {topic: python_class(kind) for topic, kind, _ in messages}
    ours = {topic: kind for topic, kind in topics.items() if kind is not None and topic != "/rosout"}
    expected = {topic: [data for t, _, data in messages if t == topic] for topic in ours}
    with collecting(ours) as collector:
        wait = ("--ros-args", "-p", "wait_for_subscribers:=1")
        with player(repository, str(path), *arguments, *wait) as process:
            total = sum(map(len, expected.values()))
            collector.spin_until(lambda: sum(map(len, collector.got.values())) >= total)
            output, _ = process.communicate(timeout=10)
        assert {t: len(d) for t, d in collector.got.items()} == {t: len(d) for t, d in expected.items()}
        assert collector.got == expected
        assert process.returncode == 0, output
    return str(output)


@pytest.mark.parametrize("plugin", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_bytes_and_order_of_a_bag(plugin: StoragePlugin, tmp_path: Path, repository: Path) -> None:
    write_bag(tmp_path / "bag", plugin)
    output = assert_plays_as_recorded(tmp_path / "bag", ["--rate", "1"], repository)
    warnings = [line for line in output.splitlines() if "made_up_msgs" in line]
    assert len(warnings) == 1 and "30 messages" in warnings[0] and "/odd" in warnings[0]


def test_a_topic_with_a_name_that_ros2_does_not_allow_is_told(tmp_path: Path, repository: Path) -> None:
    """Other recorders take any text; the rest is played."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    word = store.serialize_cdr(store.types["std_msgs/msg/String"]("word"), "std_msgs/msg/String")
    with Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        for name in ("/words", "/1 caméra//x"):
            connection = writer.add_connection(name, "std_msgs/msg/String", typestore=store)
            writer.write(connection, START, word)
    with player(repository, str(tmp_path / "bag")) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in output, output
    assert "1 messages of" in output and "ROS 2 does not allow" in output and "caméra//x" in output


def test_a_bag_that_ros2_recorded(shared: Path, repository: Path) -> None:
    file = next((shared / "data" / "recorded_rosbag2").glob("*.mcap"))
    assert_plays_as_recorded(file, ["--rate", "10"], repository)


def nanoseconds(message: Any) -> int:
    return int(message.clock.sec) * 10**9 + int(message.clock.nanosec)


def test_loop_and_clock_then_interrupt(tmp_path: Path, repository: Path) -> None:
    write_bag(tmp_path / "bag", StoragePlugin.MCAP)
    with collecting({"/words": python_class("std_msgs/msg/String"), "/clock": Clock}) as collector:
        arguments = ("--loop", "--topics", "/words", "--ros-args", "-p", "clock_rate:=200.0")
        with player(repository, str(tmp_path / "bag"), *arguments) as process:
            assert collector.spin_until(lambda: len(collector.got["/words"]) >= 95)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=10) == 0
        words = collector.got["/words"][-70:]
        first = words.index(recorded(tmp_path / "bag")[0][2])
        assert words[first : first + 30] == [d for t, _, d in recorded(tmp_path / "bag") if t == "/words"]
        clock = [nanoseconds(deserialize_message(d, Clock)) for d in collector.got["/clock"]]
    assert min(clock) >= START and max(clock) == START + 290 * MILLISECOND
    steps = np.diff(clock)
    back = steps < 0
    assert 2 <= back.sum() <= 5, "time goes back once for every new pass and never within one"
    assert (np.array(clock)[1:][back] - START < 20 * MILLISECOND).all()


def test_images_of_a_folder_as_a_camera(tmp_path: Path, repository: Path) -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(3)]
    for i, source_image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{i}.png"), cv2.cvtColor(source_image, cv2.COLOR_RGB2BGR))
    with collecting({"/camera/color/image_raw": Image}) as collector:
        wait = ("--ros-args", "-p", "wait_for_subscribers:=1", "-p", "images_rate:=20.0")
        begin = time.time()
        with player(repository, "--source", "images", str(tmp_path), *wait) as process:
            assert process.wait(timeout=15) == 0
            collector.spin_until(lambda: len(collector.got["/camera/color/image_raw"]) >= 3)
        got = [deserialize_message(data, Image) for data in collector.got["/camera/color/image_raw"]]
    assert [message.encoding for message in got] == ["rgb8"] * 3
    for message, source_image in zip(got, images, strict=True):
        np.testing.assert_array_equal(np.frombuffer(message.data, np.uint8).reshape(48, 64, 3), source_image)
    stamps = [message.header.stamp.sec + message.header.stamp.nanosec / 1e9 for message in got]
    assert begin <= stamps[0] < stamps[1] < stamps[2] <= time.time()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no/such/bag"], "does not exist"),
        (["--source", "webcam", "nine"], "not a number"),
        ([], "nothing to play"),
    ],
)
def test_a_bad_source_is_one_line_and_a_failure(arguments: list[str], words: str, repository: Path) -> None:
    with player(repository, *arguments) as process:
        output, _ = process.communicate(timeout=15)
    assert process.returncode != 0
    lines = [line for line in output.splitlines() if "ROS_LOCALHOST_ONLY" not in line and line.strip()]
    assert len([line for line in lines if not line.startswith("[")]) == 1
    assert words in lines[-1]


def test_a_bag_of_which_nothing_is_left_is_a_clear_error(tmp_path: Path, repository: Path) -> None:
    write_bag(tmp_path / "bag", StoragePlugin.SQLITE3, messages=3)
    (tmp_path / "cut.db3").write_bytes(next((tmp_path / "bag").glob("*.db3")).read_bytes()[:5000])
    with player(repository, str(tmp_path / "cut.db3")) as process:
        output, _ = process.communicate(timeout=15)
    assert process.returncode != 0
    assert "cut.db3" in output and "holds no messages" in output and "Traceback" not in output


def test_static_transforms_that_came_late_or_early_are_played_first(tmp_path: Path) -> None:
    from recordings import OPTICAL, SECOND, image, raw, transform, write

    begin = 1_700_000_000 * SECOND
    static = [
        transform(begin + place, "base", f"{OPTICAL}_{place}", (0, 0, 1), (0, 0, 0, 1), "/tf_static")
        for place in (0, 3 * SECOND)
    ]
    pictures = [raw(begin + n * SECOND, image(n), "/cam/image_raw", "rgb8") for n in range(4)]
    bag = BagSource(write(tmp_path / "bag", [*static, *pictures]))
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("late_static", context=context)
    try:
        # The first was recorded before the images, 0.2 s after its stamp as the second.
        assert BagPublisher(node, bag, [], 0.0, 0.0).publish_late_static() == 2
        assert BagPublisher(node, bag, ["/tf_static"], 0.0, 0.0).publish_late_static() == 0
        assert BagPublisher(node, bag, ["/tf_static"], 1.0, 0.0).publish_late_static() == 1
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


class Ticker:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_pacer_scales_cuts_gaps_and_gives_recorded_time_back() -> None:
    clock = Ticker()
    pacer = PlaybackClock(2.0, max_gap=1.0, clock=clock)
    second = 10**9
    pacer.restart(50 * second)
    assert pacer.due(51 * second) == pytest.approx(100.5)
    assert pacer.due(61 * second) == pytest.approx(101.0), "ten silent seconds became one, played in half"
    clock.now = 100.75
    assert pacer.recorded_time() == pytest.approx(60.5 * second)
    clock.now = 200.0
    assert pacer.recorded_time() == 61 * second, "never past the newest message"


def qos(reliability: str, durability: str, depth: int = 5) -> OfferedQos:
    return OfferedQos("keep_last", depth, reliability, durability, "automatic", 0, 0, 0)


def test_recorded_quality_of_service_is_kept_where_publishers_agree() -> None:
    def profile(*offered: OfferedQos, name: str = "/t") -> tuple[Any, Any]:
        made = publisher_qos(BagTopic(name, "std_msgs/msg/String", 1, offered))
        return made.reliability, made.durability

    volatile, latched = DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL
    reliable, best_effort = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
    assert profile() == (reliable, volatile)
    assert profile(name="/tf_static") == (reliable, latched)
    assert profile(qos("best_effort", "volatile")) == (best_effort, volatile)
    assert profile(qos("best_effort", "volatile"), qos("reliable", "transient_local")) == (reliable, latched)


def test_only_message_packages_are_imported() -> None:
    from std_msgs.msg import String

    assert message_class("std_msgs/msg/String") is String
    for name in ("std_msgs/msg/NoSuchType", "os/msg/Path", "numpy/msg/X", "../msg/X", "std_msgs/String"):
        assert message_class(name) is None


def test_command_line_becomes_parameters() -> None:
    words = ros_arguments(["a b's", "--loop", "--rate", "2", "--ros-args", "-r", "x:=y"])
    assert words == [
        "--ros-args",
        "-p",
        "path:='a b''s'",
        "-p",
        "rate:=2.0",
        "-p",
        "loop:=true",
        "-r",
        "x:=y",
    ]
    with pytest.raises(SystemExit):
        ros_arguments(["bag", "--source", "webcam", "0"])
