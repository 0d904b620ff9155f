"""PerceptionClient over real DDS: a camera's images, diagnostics, parameters, cameras, which nodes run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

import ros_camera  # noqa: E402
from perception_contrast_msgs.msg import Latency  # noqa: E402
from rcl_interfaces.msg import ParameterDescriptor, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_colours import Camera, image  # noqa: E402
from ros_graph import Client, Serving, wait_for  # noqa: E402
from sensor_msgs.msg import CompressedImage  # noqa: E402

from perception_contrast.client import (  # noqa: E402
    NoAnswerError,
    NodeAbsentError,
    ParameterValueError,
    PerceptionClient,
    RefusedError,
    find_nodes,
)
from perception_contrast.client.camera_image import camera_image  # noqa: E402
from perception_contrast.client.parameter_values import (  # noqa: E402
    parameter_info,
    parameter_messages,
)
from perception_contrast.client.result_types import stage_times_from_message  # noqa: E402
from perception_contrast.images import decode  # noqa: E402
from perception_contrast.ros.messages.image_messages import time_message  # noqa: E402
from perception_contrast.ros.parameters.node_parameters import SPECS  # noqa: E402
from perception_contrast.ros.qos import sensor_qos  # noqa: E402

pytestmark = pytest.mark.ros
NODE = "/cameras/perception_node"


@pytest.fixture(scope="module")
def graph() -> Iterator[SimpleNamespace]:
    rclpy.init()
    other = Client()
    serving = Serving("/cameras", cameras=["front", "left"], queries=["mug"])
    front, left = (Camera(other.node, f"/cameras/{name}") for name in ("front", "left"))
    front.colour, left.colour = "red", "blue"
    with PerceptionClient(target=NODE, camera="front", timeout=30.0, linger=0.3) as client:
        client.wait_until_active(60.0)
        yield SimpleNamespace(client=client, other=other, serving=serving)
    front.close(), left.close(), serving.close(), other.close()
    rclpy.shutdown()


@pytest.fixture
def client(graph: SimpleNamespace) -> PerceptionClient:
    return graph.client


def test_each_camera_gives_its_own_images_without_a_topic_being_named(client: PerceptionClient) -> None:
    assert client.cameras() == ("front", "left")
    left = client.for_camera("left")
    assert left is client.for_camera("left") and left.map is client.map
    for one, colour in ((client, "red"), (left, "blue")):
        seen = one.latest_image()
        assert (seen.encoded, seen.format, seen.frame_id) == (None, "rgb8", "camera_optical")
        np.testing.assert_array_equal(seen.pixels, image(colour))
        shown = decode.decode_compressed(seen.jpeg(), "jpeg")
        assert np.abs(shown.astype(int) - image(colour)).mean() < 2.0
    with left.images(timeout=30.0) as stream:
        stamps = [next(stream).stamp for _ in range(3)]
    assert stamps == sorted(set(stamps))
    left.close()
    assert client.state() == "active"


def test_images_are_subscribed_to_only_while_they_are_used(
    graph: SimpleNamespace, client: PerceptionClient
) -> None:
    client.latest_image()
    names = graph.other.node.get_subscriptions_info_by_topic
    topic = "/cameras/front/image"
    own = "perception_client"
    assert own in {one.node_name for one in names(topic)}
    wait_for(lambda: own not in {one.node_name for one in names(topic)}, "the end of the subscription")
    wait_for(lambda: own not in {one.node_name for one in names("/diagnostics")}, "the end of the other")


def test_compressed_images_of_a_named_topic_pass_undecoded(graph: SimpleNamespace) -> None:
    # Best effort, as many cameras are.
    publisher = graph.other.node.create_publisher(CompressedImage, "/webcam/compressed", sensor_qos())
    sent = ros_camera.compressed()
    with PerceptionClient(
        graph.other.node, target=NODE, image_topic="/webcam/compressed", timeout=30.0
    ) as client:
        answer = client.start.latest_image()
        wait_for(lambda: publisher.publish(sent) or answer.done(), "the image")
        seen = answer.result()
        assert seen.encoded == seen.jpeg() == bytes(sent.data) and seen.format == "jpeg"
        assert np.abs(seen.pixels.astype(int) - ros_camera.image()).mean() < 5.0
    graph.other.node.destroy_publisher(publisher)


def test_a_jpeg_that_a_browser_would_show_wrongly_is_encoded_anew() -> None:
    swapped = camera_image(ros_camera.compressed())
    assert swapped.encoded == swapped.jpeg()
    message = ros_camera.compressed()
    message.format = "rgb8; jpeg compressed rgb8"
    seen = camera_image(message)
    assert seen.encoded != seen.jpeg()
    shown = decode.decode_compressed(seen.jpeg(), "jpeg")
    np.testing.assert_allclose(shown[4, 4], seen.pixels[4, 4], atol=12)
    np.testing.assert_allclose(shown[4, 4], swapped.pixels[4, 4][::-1], atol=12)


def test_what_shows_no_images_says_why(graph: SimpleNamespace, client: PerceptionClient) -> None:
    with pytest.raises(NoAnswerError, match="diagnostics"):
        client.for_camera("rear").latest_image(0.5)
    with PerceptionClient(graph.other.node, target="/nowhere/perception_node") as lost:
        with pytest.raises(NodeAbsentError, match=rf"there: {NODE}"):
            lost.latest_image(1.0)
        with pytest.raises(NodeAbsentError, match="map_target"):
            lost.map.list(timeout=0.5)


def test_overlay_colours_vector_and_times_of_an_image(client: PerceptionClient) -> None:
    drawn = client.latest_overlay()
    assert drawn.format == "jpeg" and drawn.encoded is not None
    assert np.abs(drawn.pixels.astype(int) - image("red")).mean() < 2.0
    np.testing.assert_array_equal(client.latest_pca().pixels, image("red"))
    whole = client.latest_embedding().vectors
    np.testing.assert_allclose(whole.vectors, np.array([[1, 2, 2]]) / 3.0, rtol=1e-6)
    times = client.latest_latency()
    assert times.camera == "front" and times.milliseconds["encode"] == 1.5
    assert {"wait", "decode", "process", "publish", "total"} <= set(times.milliseconds)
    for stream in (client.overlay(30.0), client.pca(30.0), client.embedding(30.0), client.latency(30.0)):
        with stream:
            assert next(stream).frame_id == "camera_optical"


def test_stage_times_are_the_spans_between_the_message_s_times() -> None:
    message = Latency(stages=["encode"], milliseconds=[7.5])
    message.header.stamp = time_message(10**18)
    for name, after in zip(
        ("received", "started", "decoded", "computed", "published"), (1, 3, 6, 16, 20), strict=True
    ):
        setattr(message, name, time_message(10**18 + after * 10**6))
    times = stage_times_from_message(message).milliseconds
    assert times == pytest.approx(
        {"encode": 7.5, "wait": 2, "decode": 3, "process": 10, "publish": 4, "total": 19, "end_to_end": 20}
    )


def test_diagnostics_are_those_of_the_node_and_its_cameras(client: PerceptionClient) -> None:
    found = {one.camera: one for one in client.latest_diagnostics()}
    assert set(found) == {"", "front", "left"}
    assert found[""].values["state"] == "active" and "also" not in found[""].values
    assert found["left"].values["input/topic"] == "/cameras/left/image"
    assert found["left"].name == "cameras/perception_node: left"
    client.parameters.set({"expected_rates": [500.0, 0.0]})
    with client.diagnostics(timeout=30.0) as stream:
        told = (one for each in islice(stream, 60) for one in each)
        late = next(one for one in told if one.camera == "front" and one.level == "warn")
    assert "frames/s" in late.message
    client.parameters.set({"expected_rates": [0.0, 0.0]})


def test_parameters_are_described_as_they_are_declared(client: PerceptionClient) -> None:
    described = {one.name: one for one in client.parameters.describe()}
    for spec in SPECS:
        one = described[spec.name]
        assert one.description == spec.description and one.choices == spec.choices
        assert one.read_only == (spec.change == "never")
        assert one.constraints == ("a change loads other models" if spec.change == "reload" else "")
        if not isinstance(spec.default, tuple):
            limits = (spec.minimum, spec.maximum)
            assert (one.minimum, one.maximum) == (limits if None not in limits else (None, None))
    assert described["queries"].type == "list[str]" and described["queries"].value == ["mug"]
    assert not any(name.startswith("qos_overrides") for name in described)
    wanted = ["zoom", "queries"]
    assert [one.name for one in client.parameters.describe(wanted)] == wanted


def test_parameters_are_set_all_or_none(graph: SimpleNamespace, client: PerceptionClient) -> None:
    parameters = client.parameters
    before = parameters.get(["max_depth", "zoom"])
    with pytest.raises(RefusedError, match="zoom") as refused:
        parameters.set({"max_depth": 5, "zoom": 1000})
    assert "set_parameters_atomically" in str(refused.value)
    assert parameters.get(["max_depth", "zoom"]) == before
    parameters.set({"max_depth": 5, "zoom": 16, "distractors": ["wall", "floor"]})
    assert parameters.get(["max_depth", "zoom"]) == {"max_depth": 5.0, "zoom": 16}
    assert graph.serving.pipeline().vocabulary.distractors == ("wall", "floor")
    parameters.set({"distractors": [""], **before})
    for values in ({"zoom": 1.5}, {"zoom": True}, {"queries": "mug"}, {"queries": [1]}, {"zoom": 2**70}):
        with pytest.raises(ParameterValueError, match=next(iter(values))):
            parameters.set(values)
    for call in (parameters.get, parameters.describe):
        with pytest.raises(RefusedError, match="no_such"):
            call(["zoom", "no_such"])
    with pytest.raises(RefusedError):
        parameters.set({"use_depth": True})


def test_changes_are_told_whoever_makes_them(graph: SimpleNamespace, client: PerceptionClient) -> None:
    topic = "/parameter_events"
    told: list[dict[str, object]] = []
    before = graph.other.node.count_subscribers(topic)
    stop = client.parameters.on_change(told.append)
    with client.parameters.changes(timeout=30.0) as stream:
        wait_for(lambda: graph.other.node.count_subscribers(topic) > before, "the subscription")
        change = Parameter("track_seconds", value=3.5).to_parameter_msg()
        # A match may take longer than the graph says: each value is another one.
        count = 0
        while not told:
            count += 1
            change.value.double_value = 3.0 + count / 10
            graph.other.call(SetParameters, f"{NODE}/set_parameters", parameters=[change])
        first = next(stream)
    assert first == told[0] and set(first) == {"track_seconds"} and first["track_seconds"] > 3.0
    stop()


def test_each_type_of_parameter_is_read_and_written() -> None:
    kinds = ParameterType
    present = {
        "a": ParameterValue(type=kinds.PARAMETER_BYTE_ARRAY, byte_array_value=[b"\x01", b"\xff"]),
        "b": ParameterValue(type=kinds.PARAMETER_BOOL_ARRAY, bool_array_value=[True, False]),
        "c": ParameterValue(type=kinds.PARAMETER_INTEGER_ARRAY, integer_array_value=[1, -2]),
        "d": ParameterValue(type=kinds.PARAMETER_DOUBLE_ARRAY, double_array_value=[0.5]),
        "e": ParameterValue(type=kinds.PARAMETER_STRING_ARRAY, string_array_value=[]),
        "f": ParameterValue(type=kinds.PARAMETER_BOOL, bool_value=True),
    }
    infos = {name: parameter_info(ParameterDescriptor(name=name), value) for name, value in present.items()}
    values = {name: one.value for name, one in infos.items()}
    assert values == {"a": b"\x01\xff", "b": [True, False], "c": [1, -2], "d": [0.5], "e": [], "f": True}
    assert infos["e"].type == "list[str]"
    written = parameter_messages(values, list(present.values()))
    assert {one.name: one.value for one in written} == present
    unset = parameter_info(ParameterDescriptor(name="g"), ParameterValue())
    assert (unset.type, unset.value) == ("", None)
    with pytest.raises(ParameterValueError, match="'g' has no value"):
        parameter_messages({"g": 1}, [ParameterValue()])


def test_asyncio_streams_that_wait_take_no_threads(client: PerceptionClient) -> None:
    """Of an executor with one thread, two streams that wait for it would starve the third."""

    async def program() -> int:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        silent = [
            client.parameters.changes(),
            client.parameters.changes(),
            client.for_camera("rear").pca(0.5),
        ]
        waiting = [asyncio.ensure_future(anext(one)) for one in silent]
        seen = [await anext(stream) for stream in [client.images(30.0)] for _ in range(2)]
        with pytest.raises(NoAnswerError, match="rear/features/image"):
            await waiting[2]
        silent[0].close()
        with pytest.raises(StopAsyncIteration):
            await waiting[0]
        waiting[1].cancel()
        return len(seen)

    assert asyncio.run(program()) == 2


def test_the_nodes_that_run_are_found(graph: SimpleNamespace, client: PerceptionClient) -> None:
    assert client.nodes().perception == (NODE,) and client.nodes().maps == ()
    assert wait_for(lambda: find_nodes(graph.other.node, seconds=0.3).perception, "the nodes") == (NODE,)
