"""PerceptionClient against perception_node over real DDS, its towers small ones that know colours."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

from perception_contrast_msgs.msg import FeatureMap  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from ros_colours import SQUARE, Camera, Colours, image  # noqa: E402
from ros_graph import own_threads, wait_for  # noqa: E402
from small_models import pipeline_of  # noqa: E402
from std_msgs.msg import Empty  # noqa: E402

from perception_contrast.client import (  # noqa: E402
    ClosedError,
    NoAnswerError,
    NodeAbsentError,
    NodeNotActiveError,
    PerceptionClient,
    RefusedError,
)
from perception_contrast.core.errors import PerceptionError, QueryError  # noqa: E402
from perception_contrast.core.frame import Frame  # noqa: E402
from perception_contrast.core.vocabulary import Query  # noqa: E402
from perception_contrast.pipeline.output_request import OutputRequest  # noqa: E402

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def graph() -> Iterator[SimpleNamespace]:
    rclpy.init()
    node = rclpy.create_node("user", namespace="/robot")
    serving, camera = Colours("/robot"), Camera(node, "/robot")
    with PerceptionClient(node, timeout=30.0, linger=0.3) as client:
        client.wait_until_active(60.0)
        camera.colour = "red"
        yield SimpleNamespace(node=node, camera=camera, client=client, serving=serving)
        camera.close()
    serving.close()
    node.destroy_node()
    rclpy.shutdown()


@pytest.fixture
def client(graph: SimpleNamespace) -> PerceptionClient:
    graph.camera.colour = "red"
    graph.client.set_queries(["red", "blue"])
    return graph.client


def test_a_client_loads_no_model_library() -> None:
    program = (
        "import sys, perception_contrast.client; print({'torch', 'timm', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_former_name_of_the_future_still_works_and_warns() -> None:
    import perception_contrast.client as package

    with pytest.warns(DeprecationWarning, match="ClientFuture"):
        assert package.Answer is package.ClientFuture


def test_what_was_asked_for_is_what_is_in_force_and_what_is_found(client: PerceptionClient) -> None:
    before = client.set_queries(["green"], ["grey"])
    after = client.set_queries(["a thing: red; blue; !green", Query("green", threshold=0.25)], ["grey"])
    assert after == before + 1
    assert client.get_queries() == (
        Query("a thing", ("red", "blue"), negatives=("green",)),
        Query("green", threshold=0.25),
    )
    vocabulary = client.get_vocabulary()
    assert vocabulary.queries == client.get_queries()
    assert (vocabulary.distractors, vocabulary.version) == (("grey",), after)
    found = client.wait_until_seen("a thing", 30.0)
    assert found.frame_id == "camera_optical" and found.stamp > 0
    np.testing.assert_allclose(found.thing.box, SQUARE, atol=4)
    np.testing.assert_allclose(found.thing.centre, (111.5, 55.5), atol=4)


def test_adding_to_what_is_asked_for_leaves_the_rest(client: PerceptionClient) -> None:
    client.also_ask(["green", "blue: blue; grey"])
    assert [one.label for one in client.get_queries()] == ["red", "green", "blue"]
    assert client.get_queries()[2].phrases == ("blue", "grey")


def test_an_example_becomes_a_query_with_the_vector_of_what_was_shown(client: PerceptionClient) -> None:
    features = client.latest_features()
    shown = client.add_exemplar("that", box=SQUARE)
    clicked = client.add_exemplar("that", point=(100.0, 50.0))
    other = client.add_exemplar("that", image=image("blue"), box=SQUARE)
    assert shown.space == clicked.space == other.space == features.space
    row, column = 4, 8
    cell = features.grid.unit().values[row, column]
    assert shown.vectors.shape == (1, 24) and float(shown.vectors[0] @ cell) > 0.9
    assert float(clicked.vectors[0] @ cell) > float(other.vectors[0] @ cell)
    that = client.get_queries()[-1]
    assert (that.label, len(that.exemplars)) == ("that", 3)
    np.testing.assert_allclose(that.exemplars[0].vector, shown.vectors[0], atol=1e-6)
    assert client.set_queries([that]) and client.get_queries()[0].label == "that"
    wrong = client.add_exemplar("that", point=(100.0, 50.0), negative=True)
    rejected = client.get_queries()[0].negative_exemplars
    np.testing.assert_allclose(rejected[0].vector, wrong.vectors[0], atol=1e-6)


def test_features_are_those_of_the_tower_and_a_view_on_the_message(client: PerceptionClient) -> None:
    features = client.latest_features()
    expected = pipeline_of("colours", short_side=112, max_tokens=1024).process(
        Frame(image("red")), OutputRequest(features=True)
    )
    assert features.values.dtype == np.float16 and not features.values.flags.owndata
    np.testing.assert_allclose(features.values, expected.features.values, atol=0.02)
    assert features.grid.grid_to_image == expected.features.grid_to_image
    semantic = client.latest_features(semantic=True)
    words = client.embed_text(["red"])
    assert semantic.space == words.space != features.space
    heat = semantic.values.astype(np.float32) @ words.vectors[0]
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    x, y = semantic.grid.grid_to_image.to_image(column, row)
    assert SQUARE[0] <= x < SQUARE[2] and SQUARE[1] <= y < SQUARE[3]


def test_masks_come_with_the_names_of_their_ids(client: PerceptionClient) -> None:
    # A mask of the queries before may still be on its way.
    wait_for(lambda: client.latest_masks().of("red").any(), "a mask")
    masks = client.latest_masks()
    truth = np.zeros(masks.ids.shape, bool)
    truth[SQUARE[1] : SQUARE[3], SQUARE[0] : SQUARE[2]] = True
    red = masks.of("red")
    assert (red & truth).sum() / (red | truth).sum() > 0.8
    assert not masks.of("blue").any() and not masks.of("never asked for").any()


def test_heat_and_classes_of_the_newest_frame_and_of_an_image(client: PerceptionClient) -> None:
    client.latest_features()
    heat = client.similarity(text="red")
    assert heat.values.shape == image("red").shape[:2] and heat.values[56, 112] > heat.values[10, 10] + 0.3
    assert client.similarity(point=(100.0, 50.0)).values[56, 112] > 0.9
    assert client.similarity(label="red").values[56, 112] > 0.5
    here = client.classify(["blue", "red"])
    there = client.classify(["blue", "red"], image("blue"))
    assert here.probabilities.argmax() == 1 and there.probabilities.argmax() == 0
    scores = client.text_scores(["blue", "red"], image("blue"))
    np.testing.assert_allclose(scores.cosines, there.cosines, atol=1e-6)


def test_waiting_asks_for_what_nobody_asked_for_and_ends_when_it_comes(
    graph: SimpleNamespace, client: PerceptionClient
) -> None:
    sighting = client.start.wait_until_seen("green", 30.0)
    wait_for(lambda: "green" in [one.label for one in client.get_queries()], "the query")
    client.next_detections()
    assert not sighting.done()
    graph.camera.colour = "green"
    assert sighting.result(30.0).thing.label == "green"
    assert [one.label for one in client.get_queries()] == ["red", "blue", "green"]


def test_what_is_never_seen_is_a_timeout_that_counts_images(client: PerceptionClient) -> None:
    with pytest.raises(NoAnswerError, match=r"'blue' was not seen within 1 s, in \d+ images") as caught:
        client.wait_until_seen("blue", 1.0)
    assert isinstance(caught.value, TimeoutError) and isinstance(caught.value, PerceptionError)


def test_a_stream_gives_images_in_order_and_ends_its_subscription(
    graph: SimpleNamespace, client: PerceptionClient
) -> None:
    topic = "/robot/perception_node/detections"
    with client.detections(timeout=30.0) as stream:
        stamps = [next(stream).stamp for _ in range(4)]
        assert graph.node.count_subscribers(topic) == 1
    assert stamps == sorted(set(stamps))
    assert list(stream) == []
    wait_for(lambda: graph.node.count_subscribers(topic) == 0, "the end of the subscription")
    for seen in client.detections(timeout=30.0):
        assert seen.best("red")
        break
    # Nobody holds that stream any more.
    wait_for(lambda: graph.node.count_subscribers(topic) == 0, "the end of the subscription")


def test_the_node_computes_only_what_the_client_uses(
    graph: SimpleNamespace, client: PerceptionClient
) -> None:
    def listened_to() -> set[str]:
        names = ("detections", "features", "semantic_features", "masks", "overlay")
        return {one for one in names if graph.node.count_subscribers(f"/robot/perception_node/{one}")}

    wait_for(lambda: not listened_to(), "silence")
    client.latest_features()
    assert listened_to() == {"features"}
    wait_for(lambda: not listened_to(), "silence")


def test_asyncio_programs_await_answers_and_streams(client: PerceptionClient) -> None:
    async def program() -> tuple[object, object, int]:
        both = client.start.embed_text(["red"]), client.start.next_detections(30.0)
        words, seen = await asyncio.gather(*(asyncio.wrap_future(one) for one in both))
        count = 0
        async for _ in client.detections(timeout=30.0):
            count += 1
            if count == 2:
                break
        return await client.start.get_queries(), (words.vectors.shape, len(seen.things)), count

    queries, shapes, count = asyncio.run(program())
    assert [one.label for one in queries] == ["red", "blue"] and shapes[0] == (1, 5) and count == 2


def test_blocking_calls_work_in_a_callback_of_a_node_with_one_thread(
    graph: SimpleNamespace, client: PerceptionClient
) -> None:
    found: list[object] = []
    node = rclpy.create_node("one_thread")
    node.create_subscription(Empty, "ask", lambda _: found.append(client.wait_until_seen("red", 30.0)), 1)

    async def awaiting(_: Empty) -> None:
        found.append(await client.start.embed_text(["red"]))

    node.create_subscription(Empty, "ask", awaiting, 1)
    asker = node.create_publisher(Empty, "ask", 1)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    ended = threading.Event()

    def spin() -> None:
        while not ended.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin)
    thread.start()
    wait_for(lambda: asker.get_subscription_count() == 2, "a match")
    asker.publish(Empty())
    wait_for(lambda: len(found) == 2, "both answers")
    ended.set()
    thread.join()
    executor.shutdown()
    node.destroy_node()


def test_a_blocking_call_in_the_clients_own_callback_is_an_error_not_a_deadlock(
    client: PerceptionClient,
) -> None:
    errors: list[Exception] = []

    def callback(_: object) -> None:
        try:
            client.get_queries()
        except ClosedError as error:
            errors.append(error)

    end = client.on_detections(callback)
    wait_for(lambda: errors, "the error")
    end()
    assert "start" in str(errors[0])
    assert client.get_queries()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda client: client.set_queries(["red", "red"]), "more than once"),
        (lambda client: client.set_queries([Query("red", threshold=2.0)]), "threshold"),
        (lambda client: client.embed_text([]), "0 texts"),
        (lambda client: client.similarity(point=(1000.0, 0.0)), "outside the image"),
        (lambda client: client.add_exemplar("it", box=(0, 0, 500, 500)), "leaves the image"),
    ],
)
def test_what_the_node_refuses_is_an_error_with_its_words(
    client: PerceptionClient, ask, message: str
) -> None:
    client.latest_features()
    with pytest.raises(RefusedError, match=message):
        ask(client)
    assert [one.label for one in client.get_queries()] == ["red", "blue"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.set_queries("red"),
        lambda client: client.add_exemplar("it"),
        lambda client: client.add_exemplar("it", box=(5, 5, 5, 9)),
        lambda client: client.add_exemplar("it", box=(float("nan"), 5, 6, 9)),
        lambda client: client.similarity(text="red", label="red"),
        lambda client: client.classify(["red"], np.zeros((4, 4), np.uint8)),
    ],
)
def test_what_cannot_be_sent_is_refused_before_it_is(client: PerceptionClient, ask) -> None:
    with pytest.raises(QueryError):
        ask(client)


def test_an_example_of_another_space_is_refused(client: PerceptionClient) -> None:
    client.latest_features()
    client.add_exemplar("that", box=SQUARE)
    that = client.get_queries()[-1]
    other = Query("that", exemplars=tuple(type(one)(one.vector, "other@1") for one in that.exemplars))
    with pytest.raises(RefusedError, match="cannot be compared"):
        client.set_queries([other])


def test_a_broken_message_is_counted_and_the_next_one_read(
    graph: SimpleNamespace, client: PerceptionClient
) -> None:
    topic = "/robot/perception_node/features"
    publisher = graph.node.create_publisher(FeatureMap, topic, 2)
    before = client.skipped
    with client.features(timeout=30.0) as stream:
        wait_for(lambda: publisher.get_subscription_count() == 1, "a match")
        publisher.publish(FeatureMap(height=4, width=4, channels=4, dtype="float16"))
        wait_for(lambda: client.skipped == before + 1, "the count")
        assert next(stream).values.shape == (8, 12, 24)
    graph.node.destroy_publisher(publisher)


def test_an_absent_node_is_named_with_those_that_are_there(graph: SimpleNamespace) -> None:
    with PerceptionClient(graph.node, target="/nowhere/perception_node", timeout=1.0) as lost:
        with pytest.raises(NodeAbsentError, match=r"/nowhere/.*there: /robot/perception_node") as caught:
            lost.get_queries()
        assert "target" in str(caught.value)
        with pytest.raises(NodeAbsentError, match="nobody publishes on /nowhere/perception_node/detections"):
            lost.next_detections()


def test_a_node_that_is_not_active_says_so_until_it_is(graph: SimpleNamespace) -> None:
    idle = Colours("/idle", autostart=False)
    try:
        with PerceptionClient(graph.node, target="/idle/perception_node", timeout=2.0) as client:
            assert wait_for(lambda: client.state(30.0) == "unconfigured", "the state")
            with pytest.raises(NodeNotActiveError, match="not active: the node is unconfigured"):
                client.set_queries(["red"])
            with pytest.raises(NodeNotActiveError, match="is unconfigured, not active"):
                client.next_detections(0.5)
            with pytest.raises(NodeNotActiveError, match="still unconfigured"):
                client.wait_until_active(0.5)
            waiting = threading.Thread(target=client.wait_until_active, args=(60.0,))
            waiting.start()
            idle.node.trigger_configure()
            idle.node.trigger_activate()
            waiting.join(60.0)
            assert not waiting.is_alive()
            assert client.set_queries(["red"]) > 0
    finally:
        idle.close()


def test_it_goes_on_with_a_node_that_was_started_anew(graph: SimpleNamespace) -> None:
    camera = Camera(graph.node, "/again")
    camera.colour = "red"
    serving = Colours("/again", queries=["red"])
    with PerceptionClient(graph.node, target="/again/perception_node", timeout=30.0) as client:
        client.wait_until_active(60.0)
        with client.detections(timeout=30.0) as stream:
            assert next(stream).best("red")
            serving.close()
            with pytest.raises(NodeAbsentError):
                client.get_queries(timeout=0.5)
            serving = Colours("/again", queries=["red"])
            client.wait_until_active(60.0)
            assert [one.label for one in client.get_queries()] == ["red"]
            wait_for(lambda: next(stream).best("red"), "detections of the new node")
    camera.close(), serving.close()


def test_a_silent_camera_is_told_from_an_absent_node(
    graph: SimpleNamespace, client: PerceptionClient
) -> None:
    graph.camera.colour = ""
    time.sleep(0.3)
    with pytest.raises(NoAnswerError, match="camera"):
        client.next_detections(0.5)
    with pytest.raises(NoAnswerError, match="camera"):
        list(client.detections(timeout=0.5))


def test_one_of_several_cameras_is_asked_by_its_name(graph: SimpleNamespace) -> None:
    several = Colours("/many", cameras=["front", "left"])
    front, left = (Camera(graph.node, f"/many/{name}") for name in ("front", "left"))
    front.colour, left.colour = "red", "blue"
    target = "/many/perception_node"
    try:
        with (
            PerceptionClient(graph.node, target=target, camera="front", timeout=30.0) as ahead,
            PerceptionClient(graph.node, target=target, camera="left", timeout=30.0) as aside,
        ):
            ahead.wait_until_active(60.0)
            # One node has one vocabulary.
            ahead.set_queries(["red", "blue"])
            assert ahead.wait_until_seen("red").thing and aside.wait_until_seen("blue").thing
            assert not ahead.next_detections().best("blue")
            assert aside.classify(["red", "blue"]).probabilities.argmax() == 1
            shown = aside.add_exemplar("that", point=(100.0, 50.0))
            assert shown.space == aside.latest_features().space
            wait_for(lambda: aside.latest_masks().of("blue").any(), "a mask")
            wait_for(lambda: ahead.similarity(text="red").values[56, 112] > 0.5, "the newest frame")
    finally:
        front.close(), left.close(), several.close()


def test_it_follows_remappings_of_its_node_and_leaves_its_name_alone(graph: SimpleNamespace) -> None:
    arguments = ["--ros-args", "-r", "perception_node:=/robot/perception_node", "-r", "__node:=renamed"]
    node = rclpy.create_node("other", cli_args=arguments)
    with PerceptionClient(node, timeout=30.0) as client:
        assert client.target == "/robot/perception_node" and client.state() == "active"
        names = wait_for(lambda: {n for n in graph.node.get_node_names() if "renamed" in n}, "the nodes")
        assert names <= {"renamed", "renamed_perception_client"}
    node.destroy_node()


def test_alone_it_brings_its_own_context_and_takes_it_away(graph: SimpleNamespace) -> None:
    threads = own_threads()
    with PerceptionClient(target="/robot/perception_node", timeout=30.0) as client:
        assert client.state() == "active"
        late = client.start.wait_until_seen("blue", 600.0, ask=False)
    with pytest.raises(ClosedError):
        late.result(10.0)
    with pytest.raises(ClosedError, match="closed"):
        client.get_queries()
    client.close()
    assert rclpy.ok() and own_threads() <= threads


def test_an_answer_that_is_given_up_leaves_nothing_behind(
    graph: SimpleNamespace, client: PerceptionClient
) -> None:
    given_up = client.start.wait_until_seen("blue", 600.0)
    assert given_up.cancel() and given_up.cancelled()
    topic = "/robot/perception_node/detections"
    wait_for(lambda: graph.node.count_subscribers(topic) == 0, "the end of the subscription")
