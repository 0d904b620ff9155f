"""perception_node over real DDS, its pipeline scripted: bad input, services, parameters, what is computed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

import ros_camera  # noqa: E402
import ros_double  # noqa: E402
from geometry_msgs.msg import Point  # noqa: E402
from perception_contrast_msgs.msg import Embedding, FeatureMap, Query, RegionFeatures  # noqa: E402
from perception_contrast_msgs.srv import (  # noqa: E402
    AddExemplar,
    Classify,
    EmbedText,
    GetQueries,
    ImageTextSimilarity,
    SetQueries,
    Similarity,
)
from rcl_interfaces.srv import SetParameters, SetParametersAtomically  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_graph import Client, Serving, wait_for  # noqa: E402
from sensor_msgs.msg import Image, RegionOfInterest  # noqa: E402
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionInfo  # noqa: E402

from perception_contrast.ros import qos  # noqa: E402
from perception_contrast.ros.messages import feature_map  # noqa: E402
from perception_contrast.ros.messages.image_messages import image_message  # noqa: E402
from perception_contrast.ros.monitoring import statistics  # noqa: E402
from perception_contrast.vocabulary.vocabulary_file import load_vocabulary  # noqa: E402

pytestmark = pytest.mark.ros
NODE = "/raw/perception_node"
NAME, JPEG = "raw/perception_node", "jpeg/perception_node"


@pytest.fixture(scope="module")
def graph() -> Iterator[SimpleNamespace]:
    """Two nodes, one client and a camera in another process."""
    patch = pytest.MonkeyPatch()
    patch.setattr(statistics, "RECENT", 1.0)
    rclpy.init()
    client = Client()
    raw = Serving("/raw", queries=["mug", "sofa: a sofa; a couch"])
    jpeg = Serving("/jpeg", image_transport="compressed", queries=["mug"])
    script = str(Path(ros_camera.__file__))
    camera = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, text=True)

    def show(name: str) -> None:
        camera.stdin.write(name + "\n")
        camera.stdin.flush()

    for name in (NAME, JPEG):
        client.wait_diagnostics(name, "state", lambda state: state == "active")
    yield SimpleNamespace(client=client, pipeline=raw.pipeline(), show=show, raw=raw.node)
    camera.stdin.close()
    camera.wait(10)
    for serving in (raw, jpeg):
        serving.close()
    client.close()
    rclpy.shutdown()
    patch.undo()


@pytest.fixture
def steady(graph: SimpleNamespace) -> Iterator[SimpleNamespace]:
    """The graph with good frames coming in and "mug" and "sofa" looked for."""
    queries = [Query(label="mug"), Query(label="sofa", phrases=["a sofa", "a couch"])]
    assert graph.client.call(SetQueries, f"{NODE}/set_queries", queries=queries).success
    graph.show("good")
    yield graph
    graph.show("nothing")


@pytest.mark.parametrize(
    ("name", "image", "good", "topic"),
    [
        (NAME, "wrong_step", "good", "/raw/perception_node/detections"),
        (NAME, "empty", "good", "/raw/perception_node/detections"),
        (NAME, "zero_size", "good", "/raw/perception_node/detections"),
        (NAME, "unknown_encoding", "good", "/raw/perception_node/detections"),
        (NAME, "hundred_megapixels", "good", "/raw/perception_node/detections"),
        (JPEG, "truncated_jpeg", "good_jpeg", "/jpeg/perception_node/detections"),
    ],
)
def test_bad_input_is_counted_reported_and_survived(graph, name, image, good, topic) -> None:
    client = graph.client
    client.listen(Detection2DArray, topic)
    before = int(client.wait_diagnostics(name, "frames/malformed", bool)["frames/malformed"])
    graph.show(image)
    values = client.wait_diagnostics(name, "frames/malformed", lambda count: int(count) > before)
    assert values["level"] == "1" and values["message"].startswith("malformed input: ")
    assert values["malformed/last"] and values["malformed/last"] in values["message"]
    by_reason = {k: int(v) for k, v in values.items() if k.startswith("malformed/") and v.isdigit()}
    assert sum(by_reason.values()) == int(values["frames/malformed"])
    graph.show(good)
    message = client.newest(topic)
    assert message.detections[0].results[0].hypothesis.class_id == "mug"
    graph.show("nothing")


def test_a_failing_pipeline_is_an_error_in_diagnostics_and_the_node_runs_on(steady) -> None:
    client = steady.client
    client.listen(Detection2DArray, f"{NODE}/detections")
    steady.show("explodes")
    values = client.wait_diagnostics(NAME, "worker/errors", lambda count: int(count) > 0)
    assert "scripted failure" in values["worker/last_error"] and values["level"] == "2"
    steady.show("good")
    client.newest(f"{NODE}/detections")


def test_every_output_carries_the_header_of_its_image(steady) -> None:
    client = steady.client
    topics = {
        f"{NODE}/features": FeatureMap,
        f"{NODE}/semantic_features": FeatureMap,
        f"{NODE}/embedding": Embedding,
        f"{NODE}/masks": Image,
        f"{NODE}/overlay": Image,
        f"{NODE}/features/image": Image,
        f"{NODE}/detections": Detection2DArray,
        f"{NODE}/instances": Image,
        f"{NODE}/region_features": RegionFeatures,
    }
    listeners = [client.listen(kind, topic) for topic, kind in topics.items()]
    messages = {topic: client.newest(topic) for topic in topics}
    for topic, message in messages.items():
        assert message.header == ros_camera.HEADER, topic
    np.testing.assert_array_equal(
        feature_map.to_numpy(messages[f"{NODE}/features"]), np.arange(24.0).reshape(2, 3, 4)
    )
    assert messages[f"{NODE}/embedding"].space == ros_double.SPACE
    overlay = np.frombuffer(messages[f"{NODE}/overlay"].data, np.uint8).reshape(48, 64, 3)
    np.testing.assert_array_equal(overlay, ros_camera.image())
    masks = messages[f"{NODE}/masks"]
    assert masks.encoding == "mono16"
    assert set(np.frombuffer(masks.data, "<u2")) == {1, 65535}
    instances = np.frombuffer(messages[f"{NODE}/instances"].data, "<u2").reshape(48, 64)
    np.testing.assert_array_equal((instances == 7).ravel(), np.frombuffer(masks.data, "<u2") == 1)
    (region,) = messages[f"{NODE}/region_features"].regions
    assert (region.id, region.label) == (messages[f"{NODE}/detections"].detections[0].id, "mug")
    np.testing.assert_allclose(region.spatial, [0.6, 0.8], rtol=1e-6)
    values = client.wait_diagnostics(NAME, "latency_ms/publish/p95", bool)
    for stage in ("decode", "encode", "publish", "total"):
        assert float(values[f"latency_ms/{stage}/p50"]) >= 0.0
    assert values["space/features"] == ros_double.SPACE
    for listener in listeners:
        client.node.destroy_subscription(listener)


def test_only_what_somebody_listens_to_is_computed(steady) -> None:
    client = steady.client
    for subscription in [s for s in client.node.subscriptions if s.topic_name.startswith(NODE)]:
        client.node.destroy_subscription(subscription)
    client.wait_diagnostics(NAME, "message", lambda text: text.startswith("idle"))
    client.wait_diagnostics(NAME, "input/listening", lambda listening: listening == "false")
    wait_for(lambda: not steady.raw.count_subscribers("/raw/image"), "nobody to read the camera")
    done = len(steady.pipeline.processed)
    # A service fetches a frame.
    answer = client.call(AddExemplar, f"{NODE}/add_exemplar", label="it", kind=1, point=Point(x=2.0, y=2.0))
    assert answer.success, answer.message
    assert len(steady.pipeline.processed) == done
    listener = client.listen(Image, f"{NODE}/masks")
    client.newest(f"{NODE}/masks")
    request = steady.pipeline.processed[-1][1]
    assert request.masks and not (request.features or request.overlay or request.detections or request.pca)
    client.node.destroy_subscription(listener)


def test_a_late_joiner_gets_labels_and_model(steady) -> None:
    steady.client.call(SetQueries, f"{NODE}/set_queries", queries=[Query(label="sofa")])
    late = Client("late")
    late.listen(LabelInfo, f"{NODE}/label_info", qos.latched_qos())
    late.listen(VisionInfo, f"{NODE}/vision_info", qos.latched_qos())
    labels = wait_for(lambda: late.received[f"{NODE}/label_info"], "label_info")[-1]
    vision = wait_for(lambda: late.received[f"{NODE}/vision_info"], "vision_info")[-1]
    assert {one.class_name: one.class_id for one in labels.class_map} == {"sofa": 2, "unlabelled": 65535}
    assert (vision.method, vision.database_location) == ("scripted", f"space:{ros_double.SPACE}")
    assert vision.database_version == steady.pipeline.vocabulary.version
    late.close()


def test_queries_set_and_read_back(steady) -> None:
    client = steady.client
    before = steady.pipeline.vocabulary.version
    queries = [Query(label="red mug", phrases=["a red mug"], threshold=0.5, negatives=["bowl"])]
    answer = client.call(SetQueries, f"{NODE}/set_queries", queries=queries, distractors=["wall"])
    assert answer.success and answer.version == before + 1 and "red mug" in answer.message
    kept = client.call(GetQueries, f"{NODE}/get_queries").queries
    assert list(kept.queries) == queries and list(kept.distractors) == ["wall"]


@pytest.mark.parametrize(
    ("queries", "said"),
    [
        ([Query(label="  ")], "empty"),
        ([Query(label="a"), Query(label="a")], "more than once"),
        ([Query(label="a", threshold=2.0)], "threshold"),
        ([Query(label="a", exemplars=[Embedding(space="other@0", data=[1.0])])], "other@0"),
        ([Query(label="a", exemplars=[Embedding(space=ros_double.SPACE)])], "not a finite vector"),
        ([Query(label="a", phrases=["x" * 100_000])], "characters"),
        ([Query(label="a", phrases=["x" * 2000])], "at most 512"),
        ([Query(label="a", phrases=[""])], "empty"),
        ([Query(label="\u200b")], "empty"),
        ([Query(label="a", negatives=["a"])], "as phrase and as negative"),
        ([Query(label="caf\u00e9"), Query(label="cafe\u0301")], "more than once"),
        ([Query(label=str(n)) for n in range(1025)], "at most 1024"),
    ],
)
def test_refused_queries_leave_the_old_ones(steady, queries: list[Query], said: str) -> None:
    before = steady.pipeline.vocabulary
    answer = steady.client.call(SetQueries, f"{NODE}/set_queries", queries=queries)
    assert not answer.success and said in answer.message
    assert answer.version == before.version
    assert steady.pipeline.vocabulary is before


def test_none_a_thousand_and_any_script_are_queries(steady) -> None:
    client = steady.client
    assert client.call(SetQueries, f"{NODE}/set_queries").success
    assert steady.pipeline.vocabulary.queries == ()
    thousand = [Query(label=f"thing {n}") for n in range(1000)]
    assert client.call(SetQueries, f"{NODE}/set_queries", queries=thousand).success
    scripts = ["☕", "👩‍🍳", "كوب أحمر", "红色杯子", "cafe\u0301", "कप"]
    assert client.call(
        SetQueries, f"{NODE}/set_queries", queries=[Query(label=label) for label in scripts]
    ).success
    kept = client.call(GetQueries, f"{NODE}/get_queries").queries.queries
    assert [query.label for query in kept] == [*scripts[:4], "caf\u00e9", "कप"]


def test_a_distractor_that_is_looked_for_is_dropped_and_the_answer_says_so(steady) -> None:
    client, name = steady.client, f"{NODE}/set_queries"
    answer = client.call(SetQueries, name, queries=[Query(label="wall")], distractors=["wall", "floor"])
    assert answer.success and "no longer a distractor" in answer.message and "wall" in answer.message
    assert client.call(GetQueries, f"{NODE}/get_queries").queries.distractors == ["floor"]


def test_exemplars_by_point_box_and_image(steady) -> None:
    client, name = steady.client, f"{NODE}/add_exemplar"
    point = client.call(AddExemplar, name, label="it", kind=1, point=Point(x=2.0, y=2.0))
    box = RegionOfInterest(x_offset=40, y_offset=0, width=10, height=10)
    blue = client.call(AddExemplar, name, label="it", kind=0, box=box)
    image = image_message(np.full((4, 4, 3), 9, np.uint8), ros_camera.HEADER)
    shown = client.call(AddExemplar, name, label="other", kind=2, image=image)
    assert point.success and blue.success and shown.success
    # The double's vector is the mean colour: red left, blue right, grey.
    assert np.argmax(point.embedding.data) == 0 and np.argmax(blue.embedding.data) == 2
    assert np.ptp(shown.embedding.data) < 1e-6
    assert point.embedding.space == ros_double.SPACE and point.embedding.header == ros_camera.HEADER
    kept = {query.label: query for query in steady.pipeline.vocabulary.queries}
    assert len(kept["it"].exemplars) == 2 and len(kept["other"].exemplars) == 1
    # What came from GetQueries can be set again and keeps its surroundings.
    back = client.call(GetQueries, f"{NODE}/get_queries").queries.queries
    assert client.call(SetQueries, f"{NODE}/set_queries", queries=back).success
    now = {query.label: query for query in steady.pipeline.vocabulary.queries}
    assert now["it"].exemplars[0].context is not None


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"label": "", "kind": 1}, "empty"),
        ({"label": "a", "kind": 1, "point": Point(x=64.0, y=1.0)}, "outside the image of 64x48"),
        ({"label": "a", "kind": 1, "point": Point(x=float("nan"), y=1.0)}, "outside"),
        ({"label": "a", "kind": 0}, "box is empty"),
        (
            {"label": "a", "kind": 0, "box": RegionOfInterest(x_offset=60, width=5, height=5)},
            "leaves the image",
        ),
        ({"label": "a", "kind": 2}, "no pixels (0x0, 0 bytes)"),
        ({"label": "a", "kind": 2, "image": Image(encoding="rgb8", height=4)}, "no pixels (0x4"),
        ({"label": "a", "kind": 9}, "kind 9"),
    ],
)
def test_refused_exemplars_say_why(steady, request_: dict, said: str) -> None:
    before = steady.pipeline.vocabulary
    answer = steady.client.call(AddExemplar, f"{NODE}/add_exemplar", **request_)
    assert not answer.success and answer.message and said in answer.message
    assert steady.pipeline.vocabulary is before


def test_texts_become_vectors_and_heat_maps(steady) -> None:
    client = steady.client
    answer = client.call(EmbedText, f"{NODE}/embed_text", texts=["three", "x"])
    expected = steady.pipeline.query_encoder.embed_texts(["three", "x"])
    np.testing.assert_array_equal([one.data for one in answer.embeddings], expected)
    assert not client.call(EmbedText, f"{NODE}/embed_text").success
    heat = client.call(Similarity, f"{NODE}/similarity", kind=1, text="a mug")
    assert heat.success and heat.space == ros_double.SPACE
    assert (heat.heatmap.encoding, heat.heatmap.header) == ("32FC1", ros_camera.HEADER)
    np.testing.assert_array_equal(np.frombuffer(heat.heatmap.data, "<f4"), np.full(48 * 64, 0.25, "f4"))
    assert "empty" in client.call(Similarity, f"{NODE}/similarity", kind=1).message
    assert "outside" in client.call(Similarity, f"{NODE}/similarity", kind=0, point=Point(x=-9.0)).message


def test_whole_images_are_classified_and_compared(steady) -> None:
    client, classify, compare = steady.client, f"{NODE}/classify", f"{NODE}/image_text_similarity"
    newest = client.call(Classify, classify, labels=["red", "blue"])
    share = ros_camera.image()[..., 0].mean() / 255.0
    assert newest.success and (newest.model, newest.space) == (ros_double.MODEL, ros_double.SPACE)
    np.testing.assert_allclose(newest.probabilities, [share, 0.0], rtol=1e-5)
    np.testing.assert_allclose(newest.cosines, [share / 2, 0.0], rtol=1e-5)
    assert not newest.independent and "most likely 'red'" in newest.message
    image = image_message(np.full((4, 4, 3), 255, np.uint8), ros_camera.HEADER)
    shown = client.call(Classify, classify, labels=["red"], templates=["see {a}"], image=image)
    assert shown.success and list(shown.probabilities) == [1.0] and shown.independent
    scores = client.call(ImageTextSimilarity, compare, texts=["a red wall", "a blue one"], image=image)
    assert (
        scores.success and list(scores.cosines) == [0.25, -0.25] and list(scores.clip_scores) == [25.0, 0.0]
    )
    broken = Image(height=4, width=4, step=12, encoding="rgb8", data=b"123")
    for kind, name in ((Classify, classify), (ImageTextSimilarity, compare)):
        none, bad = client.call(kind, name), client.call(kind, name, image=broken)
        assert not none.success and "give 1 to 1024" in none.message
        assert not bad.success and bad.message


def set_parameters(client: Client, kind: type, **values: object) -> object:
    parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
    suffix = "set_parameters" if kind is SetParameters else "set_parameters_atomically"
    return client.call(kind, f"{NODE}/{suffix}", parameters=parameters)


def test_parameters_change_all_at_once(steady) -> None:
    result = set_parameters(
        steady.client, SetParametersAtomically, short_side=420, queries=["chair: a chair; a stool"]
    ).result
    assert result.successful, result.reason
    assert steady.pipeline.settings.short_side == 420
    assert steady.pipeline.vocabulary.queries[0].phrases == ("a chair", "a stool")


def test_a_named_vocabulary_is_put_in_force_and_queries_add_to_it(steady) -> None:
    client = steady.client
    household = load_vocabulary("household")
    result = set_parameters(
        client, SetParametersAtomically, vocabulary="household", queries=["mug: my mug; !cup"]
    )
    assert result.result.successful, result.result.reason
    labels = {query.label: query for query in steady.pipeline.vocabulary.queries}
    assert labels.keys() == {query.label for query in household.queries}
    assert (labels["mug"].phrases, labels["mug"].negatives) == (("my mug",), ("cup",))
    assert steady.pipeline.vocabulary.distractors == household.distractors
    number = steady.pipeline.vocabulary.ids["sofa"]
    for name in ("road", "household"):
        assert set_parameters(client, SetParameters, vocabulary=name).results[0].successful
    assert steady.pipeline.vocabulary.ids["sofa"] == number
    assert set_parameters(client, SetParametersAtomically, vocabulary="", queries=["mug"]).result.successful
    assert [query.label for query in steady.pipeline.vocabulary.queries] == ["mug"]


def test_tracking_changes_while_the_node_runs(steady) -> None:
    for tracking, seconds in ((False, 5.0), (True, 2.0)):
        values = {"tracking": tracking, "track_seconds": seconds}
        assert set_parameters(steady.client, SetParametersAtomically, **values).result.successful
        assert (steady.pipeline.settings.track, steady.pipeline.settings.track_seconds) == (tracking, seconds)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"short_side": 400, "vocabulary": "houshold"}, "did you mean 'household'"),
        ({"short_side": 400, "vocabulary": "../household"}, "without a path"),
        ({"short_side": 400, "vocabulary": "/etc/passwd"}, "without a path"),
        ({"short_side": 400, "queries": ["a", "a"]}, "more than once"),
        ({"short_side": 400, "feature_dtype": "float64"}, "float64"),
        ({"short_side": 400, "max_rate": float("nan")}, "max_rate"),
        ({"short_side": 400, "mask_threshold": 1.5}, "mask_threshold"),
        ({"short_side": 400, "track_seconds": 0.0}, "track_seconds"),
        ({"short_side": 400, "outputs": ["masks", "mask"]}, "'mask' is not one of all"),
        ({"short_side": 400, "camera_weights": [1.0, 2.0]}, "2 values for 1 cameras"),
        ({"short_side": 400, "camera_max_rates": [-1.0]}, "camera_max_rates"),
        ({"short_side": 400, "expected_rates": [float("inf")]}, "expected_rates"),
        ({"short_side": 400, "cameras": ["left"]}, "read-only"),
        ({"short_side": 400, "image_transport": "compressed"}, "read-only"),
    ],
)
def test_a_refused_set_changes_nothing(steady, values: dict, said: str) -> None:
    before = (steady.pipeline.settings, steady.pipeline.vocabulary)
    result = set_parameters(steady.client, SetParametersAtomically, **values).result
    assert not result.successful and said in result.reason
    assert (steady.pipeline.settings, steady.pipeline.vocabulary) == before
    assert steady.raw.get_parameter("short_side").value != 400


@pytest.fixture
def own_camera(graph) -> Iterator[Any]:
    """A publisher of this process for the node's images, while the other camera is silent."""
    graph.show("nothing")
    camera = graph.client.node.create_publisher(Image, "/raw/image", 5)
    # The camera in the other process is the first.
    wait_for(lambda: camera.get_subscription_count() and graph.raw.count_publishers("/raw/image") > 1, "it")
    yield camera
    graph.pipeline.gate.set()
    graph.client.node.destroy_publisher(camera)


def test_frames_that_arrive_while_busy_are_replaced_by_newer_ones(graph, own_camera) -> None:
    client = graph.client
    listener = client.listen(Detection2DArray, f"{NODE}/detections")
    client.wait_diagnostics(NAME, "subscribers/detections", lambda number: int(number) > 0)
    # The last frames of the other camera may still be on their way.
    count = int(client.settled_diagnostics(NAME, "frames/in"))
    replaced = int(client.diagnostics(NAME)["frames/replaced"])
    done = len(graph.pipeline.processed)
    graph.pipeline.gate.clear()
    for stamp in range(1, 6):
        message = ros_camera.raw()
        message.header.stamp.sec = stamp
        own_camera.publish(message)
        client.wait_diagnostics(NAME, "frames/in", lambda now, want=count + stamp: int(now) == want)
    graph.pipeline.gate.set()
    wait_for(lambda: len(graph.pipeline.processed) == done + 2, "the last frame")
    assert [frame.stamp // 10**9 for frame, _ in graph.pipeline.processed[done:]] == [1, 5]
    values = client.wait_diagnostics(NAME, "frames/replaced", lambda now: int(now) > replaced)
    assert int(values["frames/replaced"]) == replaced + 3
    client.node.destroy_subscription(listener)
