"""Several cameras on one node over real DDS: names, shares, faults of one, what diagnostics say of each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

import ros_camera  # noqa: E402
from geometry_msgs.msg import Point  # noqa: E402
from perception_contrast_msgs.msg import Latency  # noqa: E402
from perception_contrast_msgs.srv import AddExemplar, Classify, GetQueries  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from ros_graph import Client, Serving, wait_for  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from perception_contrast.ros.camera import camera_stream as camera_module  # noqa: E402
from perception_contrast.ros.messages.image_messages import image_message  # noqa: E402
from perception_contrast.ros.monitoring import health, statistics  # noqa: E402
from perception_contrast.ros.parameters.parameter_spec import ParameterError  # noqa: E402

pytestmark = pytest.mark.ros
NODE, NAME = "/robot/perception_node", "robot/perception_node"
CAMERAS = ("front", "left", "rear")


@pytest.fixture(scope="module")
def robot() -> Iterator[SimpleNamespace]:
    patch = pytest.MonkeyPatch()
    patch.setattr(statistics, "RECENT", 1.0)
    patch.setattr(health, "STALE_AFTER", 0.5)
    patch.setattr(camera_module, "LINGER_SECONDS", 0.1)
    patch.setattr(camera_module, "HOLD_SECONDS", 0.5)
    rclpy.init()
    client = Client()
    remaps = ["--ros-args", "-r", "front/image:=/cam0/color", "-p", "camera_weights:=[2.0, 1.0, 1.0]"]
    remaps += ["-p", "qos_overrides./robot/left/image.subscription.depth:=7"]
    serving = Serving("/robot", cli_args=remaps, cameras=list(CAMERAS), queries=["mug"])
    topics = {"front": "/cam0/color", "left": "/robot/left/image", "rear": "/robot/rear/image"}
    publishers = {name: client.node.create_publisher(Image, topic, 2) for name, topic in topics.items()}
    client.wait_diagnostics(NAME, "state", lambda state: state == "active")
    yield SimpleNamespace(client=client, serving=serving, publishers=publishers, topics=topics)
    serving.close()
    client.close()
    rclpy.shutdown()
    patch.undo()


@pytest.fixture
def watched(robot) -> Iterator[SimpleNamespace]:
    """With a listener to the detections of each camera."""
    client = robot.client
    listeners = [client.listen(Detection2DArray, f"{NODE}/{name}/detections") for name in CAMERAS]
    for name in CAMERAS:
        wait_for(robot.publishers[name].get_subscription_count, f"a subscription to {name}")
        client.wait_diagnostics(f"{NAME}: {name}", "subscribers/detections", lambda count: count == "1")
    yield robot
    for listener in listeners:
        client.node.destroy_subscription(listener)


def show(robot, name: str, **changes: object) -> Image:
    message = ros_camera.raw(**changes)
    message.header.frame_id = f"{name}_optical"
    robot.publishers[name].publish(message)
    return message


def test_each_camera_answers_under_its_own_name_with_its_own_header(watched) -> None:
    client = watched.client
    for name in CAMERAS:
        show(watched, name)
    for name in CAMERAS:
        topic = f"{NODE}/{name}/detections"
        answer = wait_for(lambda topic=topic: client.received[topic], topic)[-1]
        assert answer.header.frame_id == f"{name}_optical"
    streams = {frame.stream for frame, _ in watched.serving.pipeline().processed if frame.stream}
    assert streams == set(CAMERAS)


def test_frames_that_wait_together_are_computed_together(watched) -> None:
    pipeline = watched.serving.pipeline()
    before = {name: len(watched.client.received[f"{NODE}/{name}/detections"]) for name in CAMERAS}
    pipeline.gate.clear()
    show(watched, "front")
    wait_for(lambda: watched.client.diagnostics(NAME).get("queue/busy_s", "0.000") != "0.000", "a batch")
    pipeline.batches.clear()
    for name in CAMERAS:
        show(watched, name)
    watched.client.wait_diagnostics(NAME, "queue/waiting", lambda count: count == "3")
    pipeline.gate.set()
    for name in CAMERAS:
        wait_for(lambda n=name: len(watched.client.received[f"{NODE}/{n}/detections"]) > before[n], name)
    # The first had its turn already and weighs twice as much, so it may go with the others.
    assert 3 in pipeline.batches or sum(pipeline.batches) == 4


def test_a_broken_camera_takes_no_other_with_it(watched) -> None:
    client = watched.client
    show(watched, "left", data=b"")
    client.wait_diagnostics(f"{NAME}: left", "malformed/empty_data", bool)
    whole = client.wait_diagnostics(NAME, "message", lambda text: text.startswith("left: malformed input"))
    assert whole["level"] == "1"
    before = len(client.received[f"{NODE}/rear/detections"])
    show(watched, "rear")
    wait_for(lambda: len(client.received[f"{NODE}/rear/detections"]) > before, "rear")
    assert client.diagnostics(f"{NAME}: rear")["frames/malformed"] == "0"
    message = ros_camera.raw()
    message.header.frame_id = "explodes"
    watched.publishers["left"].publish(message)
    values = client.wait_diagnostics(f"{NAME}: left", "worker/errors", lambda count: int(count) > 0)
    assert "scripted failure" in values["message"] and values["level"] == "2"
    show(watched, "left")
    wait_for(lambda: client.received[f"{NODE}/left/detections"], "left again")


def test_weights_share_the_work_and_a_silent_camera_leaves_its_share(watched) -> None:
    pipeline, client = watched.serving.pipeline(), watched.client
    pipeline.seconds = 0.02

    def counts(names: tuple[str, ...], seconds: float = 1.5) -> dict[str, int]:
        before = {name: len(client.received[f"{NODE}/{name}/detections"]) for name in CAMERAS}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name in names:
                show(watched, name)
            time.sleep(0.008)
        return {n: len(client.received[f"{NODE}/{n}/detections"]) - before[n] for n in CAMERAS}

    def shared() -> bool:
        everyone, two = counts(CAMERAS), counts(("left", "rear"))
        # How many frames there are depends on the machine; how they are shared does not.
        return (
            everyone["front"] / everyone["left"] == pytest.approx(2.0, rel=0.25)
            and everyone["left"] == pytest.approx(everyone["rear"], abs=3)
            and two["left"] > 1.2 * everyone["left"]
            and two["left"] == pytest.approx(two["rear"], abs=3)
        )

    try:
        # A machine that is too busy to send enough shows nothing, so it gets another chance.
        wait_for(shared, "twice the frames for twice the weight")
    finally:
        pipeline.seconds = 0.0


def test_only_cameras_that_somebody_listens_to_are_read(robot) -> None:
    client = robot.client
    wait_for(lambda: not any(p.get_subscription_count() for p in robot.publishers.values()), "nobody reading")
    assert client.wait_diagnostics(NAME, "message", lambda text: "idle" in text)["level"] == "0"
    listener = client.listen(Image, f"{NODE}/left/masks")
    wait_for(robot.publishers["left"].get_subscription_count, "a reader of the left camera")
    info = client.node.get_subscriptions_info_by_topic("/robot/left/image")
    assert [one.qos_profile.depth for one in info if one.node_name == "perception_node"] in ([7], [0])
    assert not robot.publishers["front"].get_subscription_count()
    client.node.destroy_subscription(listener)
    wait_for(lambda: not robot.publishers["left"].get_subscription_count(), "nobody to read it any more")


def test_only_cameras_that_are_read_are_looked_at(robot) -> None:
    """On middlewares with matched events, as the tests' own has."""

    def looked_at() -> int:
        period = round(camera_module.UPDATE_PERIOD * 1e9)
        timers = robot.serving.node.timers
        return sum(timer.timer_period_ns == period and not timer.is_canceled() for timer in timers)

    wait_for(lambda: not looked_at(), "no camera to look at")
    listener = robot.client.listen(Image, f"{NODE}/left/masks")
    wait_for(lambda: looked_at() == 1, "a look at the left camera")
    robot.client.node.destroy_subscription(listener)
    wait_for(lambda: not looked_at(), "no camera to look at any more")


def test_an_output_that_is_switched_off_is_not_computed_and_that_is_said(robot) -> None:
    client, node = robot.client, robot.serving.node
    listener = client.listen(Image, f"{NODE}/left/overlay")
    wait_for(robot.publishers["left"].get_subscription_count, "a reader of the left camera")
    assert node.set_parameters([rclpy.Parameter("outputs", value=["masks", "detections"])])[0].successful
    client.wait_diagnostics(f"{NAME}: left", "message", lambda text: "`outputs` leaves it out" in text)
    wait_for(lambda: not robot.publishers["left"].get_subscription_count(), "nobody to read it")
    assert node.set_parameters([rclpy.Parameter("outputs", value=["all"])])[0].successful
    wait_for(robot.publishers["left"].get_subscription_count, "a reader again")
    client.node.destroy_subscription(listener)


def test_a_service_names_its_camera_and_fetches_a_frame_of_it(robot) -> None:
    client = robot.client
    plain = client.call(AddExemplar, f"{NODE}/add_exemplar", label="it", kind=1)
    assert not plain.success and "~/front/add_exemplar" in plain.message
    image = image_message(np.full((4, 4, 3), 255, np.uint8), ros_camera.HEADER)
    assert client.call(Classify, f"{NODE}/classify", labels=["red"], image=image).success
    assert client.call(GetQueries, f"{NODE}/get_queries").success
    client.node.create_client(AddExemplar, f"{NODE}/rear/add_exemplar").wait_for_service(10.0)
    camera = robot.publishers["rear"]
    feed = client.node.create_timer(0.02, lambda: camera.get_subscription_count() and show(robot, "rear"))
    try:
        near = client.call(
            AddExemplar, f"{NODE}/rear/add_exemplar", label="it", kind=1, point=Point(x=2.0, y=2.0)
        )
    finally:
        client.node.destroy_timer(feed)
    assert near.success, near.message
    assert near.embedding.header.frame_id == "rear_optical"
    wait_for(lambda: not camera.get_subscription_count(), "the camera to be left alone again")


def test_a_service_that_gets_no_frame_says_why(robot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "FRAME_TIMEOUT", 0.3)
    answer = robot.client.call(AddExemplar, f"{NODE}/front/add_exemplar", label="it", kind=1)
    assert not answer.success and "no frame from /cam0/color within 0.3 s" in answer.message


def test_a_publisher_whose_messages_cannot_be_received_is_named_with_the_reason(robot) -> None:
    client = robot.client
    serving = Serving("/deaf", cli_args=["--ros-args", "-r", "image:=/deaf/rgb"], reliability="reliable")
    listener = client.listen(Image, "/deaf/perception_node/masks")
    quiet = client.node.create_publisher(
        Image, "/deaf/rgb", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    values = client.wait_diagnostics(
        "deaf/perception_node", "message", lambda text: "cannot be received" in text
    )
    assert "/client" in values["message"] and "eliab" in values["message"] and values["level"] == "1"
    client.node.destroy_publisher(quiet)
    # Another participant: one of them can have a topic of one type alone.
    context = rclpy.Context()
    rclpy.init(context=context)
    stranger = rclpy.create_node("stranger", context=context)
    stranger.create_publisher(CompressedImage, "/deaf/rgb", 1)
    values = client.wait_diagnostics(
        "deaf/perception_node", "message", lambda text: "CompressedImage" in text
    )
    assert "publishes sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image" in values["message"]
    stranger.destroy_node()
    rclpy.shutdown(context=context)
    strict = QoSProfile(
        depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE
    )
    demanding = client.node.create_subscription(Image, "/deaf/perception_node/overlay", print, strict)

    def told() -> bool:
        values = client.diagnostics("deaf/perception_node")
        return "that is not offered" in values["message"] + values.get("also", "")

    wait_for(told, "a subscriber that asks for too much")
    for one in (listener, demanding):
        client.node.destroy_subscription(one)
    serving.close()


def test_a_wrong_name_is_answered_with_those_that_exist(robot) -> None:
    client = robot.client
    cameras = [client.node.create_publisher(Image, f"/cameras/{name}/image_raw", 1) for name in "ab"]
    cameras.append(client.node.create_publisher(CompressedImage, "/cameras/a/image_rar", 1))
    serving = Serving("/lost", cli_args=["--ros-args", "-r", "image:=/camera/a/image_raw"])
    listener = client.listen(Image, "/lost/perception_node/masks")
    values = client.wait_diagnostics(
        "lost/perception_node",
        "message",
        lambda text: text.startswith("no publisher") and "there are" in text,
    )
    assert "there are /cameras/a/image_raw, /cameras/b/image_raw" in values["message"]
    assert "image_rar" not in values["message"] and "/lost/" not in values["message"]
    client.node.destroy_subscription(listener)
    for camera in cameras:
        client.node.destroy_publisher(camera)
    serving.close()


def test_latency_tells_when_a_frame_passed_each_stage(watched) -> None:
    client = watched.client
    listener = client.listen(Latency, f"{NODE}/latency")
    wait_for(lambda: client.node.count_publishers(f"{NODE}/latency"), "the topic")

    def told() -> Latency | None:
        sent = show(watched, "left")
        time.sleep(0.05)
        return next((m for m in client.received[f"{NODE}/latency"] if m.header == sent.header), None)

    message = wait_for(told, "a latency")
    times = [message.received, message.started, message.decoded, message.computed, message.published]
    stamps = [one.sec * 10**9 + one.nanosec for one in times]
    assert stamps == sorted(stamps) and 0 <= time.time_ns() - stamps[-1] < 60e9
    assert message.camera == "left" and list(message.stages) == ["encode"]
    assert list(message.milliseconds) == [1.5]
    client.node.destroy_subscription(listener)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"cameras": ["front", "front"]}, "twice"),
        ({"cameras": ["front/left"]}, "letters, digits"),
        ({"cameras": ["masks"]}, "name of an output"),
        ({"cameras": ["front", "rear"], "camera_weights": [1.0, 1.0, 1.0]}, "3 values for 2 cameras"),
        ({"camera_weights": [0.0]}, "camera_weights"),
    ],
)
def test_cameras_that_cannot_be_are_refused_at_start(robot, values: dict, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        Serving("/wrong", **values)


@pytest.mark.parametrize("topic", ["/wrong/image.subscription", "/wrong/perception_node/masks.publisher"])
def test_a_quality_of_service_that_cannot_be_is_refused_at_start_with_its_topic(robot, topic: str) -> None:
    override = ["--ros-args", "-p", f"qos_overrides.{topic}.durability:=sometimes"]
    with pytest.raises(ParameterError, match=f"{topic.partition('.')[0]}.*sometimes"):
        Serving("/wrong", cli_args=override)


@pytest.mark.parametrize("megabytes", [1, 5, 20])
def test_large_images_arrive_whole(watched, megabytes: int) -> None:
    side = round((megabytes * 1e6 / 3) ** 0.5)
    values = np.random.default_rng(megabytes).integers(0, 256, (side, side, 3), np.uint8)
    pipeline = watched.serving.pipeline()
    message = image_message(values, ros_camera.HEADER)

    def arrived() -> bool:
        watched.publishers["rear"].publish(message)
        time.sleep(0.3)
        return any(np.array_equal(frame.image, values) for frame, _ in pipeline.processed[-3:])

    wait_for(arrived, f"an image of {megabytes} MB")
