"""bag_player: plays a rosbag2 recording on its own topics, or a video, images or a webcam as a camera."""

from __future__ import annotations

if __name__ == "__main__":
    # Before the imports, which take seconds.
    from perception_contrast.core.process.early_exit import exit_on_signals

    exit_on_signals()

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.recordings.bags import BagSource
from perception_contrast.recordings.base import FrameSource
from perception_contrast.recordings.image_folder import ImageFolderSource
from perception_contrast.recordings.video import VideoSource
from perception_contrast.recordings.webcam import WebcamSource
from perception_contrast.ros.messages.image_messages import image_message
from perception_contrast.ros.node.run_node import exit_process, run_node
from perception_contrast.ros.node.shutdown_event import ShutdownEvent
from perception_contrast.ros.parameters.parameter_spec import ParameterSpec
from perception_contrast.ros.playback.bag_publisher import BagPublisher
from perception_contrast.ros.playback.playback_clock import PlaybackClock
from perception_contrast.ros.playback.source_node import SourceThread, declare_start_parameters
from perception_contrast.ros.qos import output_qos

NAME = "bag_player"
# A subscriber's other topics are discovered moments after its first one.
_DISCOVERY_SECONDS = 0.3
KINDS = ("bag", "video", "images", "webcam")
SPECS = (
    ParameterSpec("source", "bag", "What `path` is.", choices=KINDS, change="never"),
    ParameterSpec(
        "path", "", "Recording, video file, folder of images, or number of a webcam.", change="never"
    ),
    ParameterSpec("rate", 1.0, "Speed: 2 is twice as fast.", 0.01, 100.0, change="never"),
    ParameterSpec("loop", False, "Start again at the end.", change="never"),
    ParameterSpec(
        "loop_pause", 0.1, "Seconds between the end and the next start.", 0.01, 3600.0, change="never"
    ),
    ParameterSpec(
        "start_offset",
        0.0,
        "Seconds at the beginning of the recording to leave out.",
        0.0,
        1e9,
        change="never",
    ),
    ParameterSpec(
        "max_gap",
        0.0,
        "Longest gap between messages in seconds, longer ones are cut; 0 keeps them.",
        0.0,
        1e9,
        change="never",
    ),
    ParameterSpec("topics", ("",), "Topics to play; empty for all.", change="never"),
    ParameterSpec(
        "clock_rate", 40.0, "/clock messages a second; 0 for no /clock.", 0.0, 1000.0, change="never"
    ),
    ParameterSpec("images_rate", 5.0, "Images a second of a folder.", 0.01, 1000.0, change="never"),
    ParameterSpec(
        "frame_id", "camera_color_optical_frame", "Frame of videos, images, webcams.", change="never"
    ),
    ParameterSpec(
        "wait_for_subscribers", 0, "Start once a topic has this many subscribers.", 0, 1000, change="never"
    ),
)


class BagPlayer(Node):
    """Ends at the end of its source, unless it loops."""

    def __init__(self, shutdown: ShutdownEvent) -> None:
        super().__init__(NAME)
        self._shutdown = shutdown
        self._values = declare_start_parameters(self, SPECS)
        if not self._values["path"]:
            raise PerceptionError("nothing to play: give the path of a recording (parameter `path`)")
        play = self._open_bag() if self._values["source"] == "bag" else self._open_camera()
        self._thread = SourceThread(play, shutdown)

    def close(self) -> None:
        self._thread.join()

    def _open_bag(self) -> Callable[[], None]:
        values = self._values
        source = BagSource(values["path"])
        topics = [name for name in values["topics"] if name.strip()]
        bag = BagPublisher(self, source, topics, values["start_offset"], values["clock_rate"])
        for topics_left_out, why in (
            (bag.unknown_types, "their types are not installed"),
            (bag.unplayable_names, "ROS 2 does not allow the names of their topics"),
        ):
            if topics_left_out:
                names = ", ".join(f"'{topic.name}' ({topic.type})" for topic in topics_left_out)
                count = sum(topic.count for topic in topics_left_out)
                self.get_logger().warning(f"{count} messages are skipped, {why}: {names}")
        self._tell_lost(source.lost, source.path)
        return lambda: self._play_bag(source, bag)

    def _play_bag(self, source: BagSource, bag: BagPublisher) -> None:
        self._wait_for_subscribers(bag.publishers.values())
        clock = PlaybackClock(self._values["rate"], self._values["max_gap"])
        known = source.lost
        if late := bag.publish_late_static():
            self.get_logger().info(f"{late} late messages on /tf_static hold for the whole recording")
        for turn in itertools.count():
            count = bag.play(clock, self._shutdown)
            if count == 0 and not self._shutdown.is_set():
                raise PerceptionError(f"recording '{source.path}' has no message left after start_offset")
            if turn == 0:
                self.get_logger().info(f"{count} messages of '{source.path}' played")
                self._tell_lost([note for note in source.lost if note not in known], source.path)
            if not self._loops():
                break
        self._wait_until_received(bag.publishers.values())

    def _tell_lost(self, notes: Iterable[str], path: Path) -> None:
        for note in notes:
            self.get_logger().warning(f"recording '{path}': {note}")

    def _loops(self) -> bool:
        return bool(self._values["loop"]) and not self._shutdown.wait(self._values["loop_pause"])

    def _open_camera(self) -> Callable[[], None]:
        source = self._frame_source()
        self._image_publisher = self.create_publisher(Image, "camera/color/image_raw", output_qos())
        return lambda: self._play_frames(source)

    def _frame_source(self) -> FrameSource:
        kind, path, frame_id = (self._values[key] for key in ("source", "path", "frame_id"))
        if kind == "video":
            return VideoSource(path, frame_id)
        if kind == "images":
            return ImageFolderSource(path, self._values["images_rate"], frame_id)
        if not path.isdecimal():
            raise PerceptionError(f"webcam '{path}' is not a number; 0 is /dev/video0")
        return WebcamSource(int(path), frame_id)

    def _play_frames(self, source: FrameSource) -> None:
        self._wait_for_subscribers([self._image_publisher])
        live = self._values["source"] == "webcam"
        clock = PlaybackClock(self._values["rate"], self._values["max_gap"])
        while True:
            count = self._publish_frames(source, None if live else clock)
            if count == 0 and not self._shutdown.is_set():
                raise PerceptionError(f"'{self._values['path']}' has no image left after start_offset")
            if not self._loops():
                break
        self._wait_until_received([self._image_publisher])

    def _publish_frames(self, source: FrameSource, clock: PlaybackClock | None) -> int:
        """Plays once, until the end or a shutdown; returns how many frames were published."""
        begin = round(self._values["start_offset"] * 1e9)
        count = 0
        for frame in (frame for frame in source if clock is None or frame.stamp >= begin):
            if clock is not None and count == 0:
                clock.restart(frame.stamp)
            wait = 0.0 if clock is None else max(clock.due(frame.stamp) - time.monotonic(), 0.0)
            if self._shutdown.wait(wait):
                break
            self._image_publisher.publish(image_message(frame.image, self._live_header(frame)))
            count += 1
        return count

    def _live_header(self, frame: Frame) -> Header:
        # The time within a video is no ROS time: a frame is stamped when it is published.
        return Header(stamp=Clock(clock_type=ClockType.SYSTEM_TIME).now().to_msg(), frame_id=frame.frame_id)

    def _wait_for_subscribers(self, publishers: Iterable[Publisher]) -> None:
        wanted, logged = self._values["wait_for_subscribers"], False
        while max(one.get_subscription_count() for one in publishers) < wanted:
            if not logged:
                self.get_logger().info(f"waiting for {wanted} subscribers")
                logged = True
            if self._shutdown.wait(0.05):
                return
        if wanted:
            self._shutdown.wait(_DISCOVERY_SECONDS)

    def _wait_until_received(self, publishers: Iterable[Publisher]) -> None:
        # The last messages would be lost if the node vanished before slow subscribers had them.
        for publisher in publishers:
            if not self._shutdown.is_set():
                publisher.wait_for_all_acked(Duration(seconds=2))


def ros_arguments(argv: Sequence[str]) -> list[str]:
    """Turns `bag_player PATH --loop` into parameters; what follows `--ros-args` stays as it is."""
    split = list(argv).index("--ros-args") if "--ros-args" in argv else len(argv)
    parser = argparse.ArgumentParser(prog=NAME, description=__doc__, epilog="--ros-args may follow.")
    parser.add_argument("path", nargs="?", help="recording: a rosbag2 folder, .mcap or .db3 file")
    parser.add_argument(
        "--source",
        nargs=2,
        metavar=("KIND", "WHAT"),
        help="video FILE, images FOLDER, webcam NUMBER, bag PATH",
    )
    parser.add_argument("--rate", type=float, help="speed: 2 is twice as fast")
    parser.add_argument("--loop", action="store_true", default=None, help="start again at the end")
    parser.add_argument("--start-offset", type=float, metavar="S", help="seconds to leave out")
    parser.add_argument("--topics", nargs="+", metavar="TOPIC", help="play these only")
    options = parser.parse_args(list(argv)[:split])
    if options.path and options.source:
        parser.error("give a path or --source, not both")
    values = {key: getattr(options, key) for key in ("path", "rate", "loop", "start_offset", "topics")}
    if options.source:
        values["source"], values["path"] = options.source
    given = [f"{key}:={_yaml(value)}" for key, value in values.items() if value is not None]
    parameters = [word for one in given for word in ("-p", one)]
    rest = list(argv)[split + 1 :]
    return ["--ros-args", *parameters, *rest]


def _yaml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(float(value))


def main(args: Sequence[str] | None = None) -> None:
    exit_process(run_node(BagPlayer, NAME, ros_arguments(sys.argv[1:] if args is None else args)))


if __name__ == "__main__":
    main()
