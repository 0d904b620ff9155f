"""map_node over real DDS, with a scripted perception: what it finds, answers, refuses and keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytestmark = pytest.mark.ros
pytest.importorskip("rclpy")

import rclpy  # noqa: E402
from box_rooms import looking  # noqa: E402
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from map_graph import BOXES, SPACE, SPATIAL, Mapping, Perception, around, call, word  # noqa: E402
from nav_msgs.msg import OccupancyGrid  # noqa: E402
from perception_contrast_msgs.action import FindObjects as LookFor  # noqa: E402
from perception_contrast_msgs.msg import Embedding  # noqa: E402
from perception_contrast_msgs.srv import (  # noqa: E402
    ApproachObject,
    FindObjects,
    ForgetObjects,
    LoadMap,
    SaveMap,
)
from rclpy.action import ActionClient  # noqa: E402
from ros_graph import Client, wait_for  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from vision_msgs.msg import Detection3DArray  # noqa: E402

from perception_contrast.client import PerceptionClient, RefusedError  # noqa: E402
from perception_contrast.core.rigid_transform import RigidTransform  # noqa: E402
from perception_contrast.mapping.storage.map_folder import MapFolder  # noqa: E402
from perception_contrast.memory.memory_store import MemoryStore  # noqa: E402
from perception_contrast.ros.mapping.look_action import MOST_GOALS  # noqa: E402
from perception_contrast.ros.mapping.map_parameters import SPECS, check_together  # noqa: E402
from perception_contrast.ros.parameters.parameter_spec import ParameterError  # noqa: E402
from perception_contrast.ros.qos import latched_qos  # noqa: E402

CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4


@pytest.fixture(scope="module", autouse=True)
def context() -> Iterator[None]:
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture(autouse=True)
def maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERCEPTION_CONTRAST_MAPS", str(tmp_path / "maps"))
    return tmp_path / "maps"


class Graph:
    """All nodes of a test in one namespace."""

    def __init__(self, name: str, *, text_service: bool = True, **values: Any) -> None:
        self.namespace = f"/{name}"
        self.robot = Perception(self.namespace, text_service=text_service)
        self.mapping = Mapping(
            self.namespace, surface_voxel_size=0.0, max_rate=0.0, name_bank=False, **values
        )
        self.client = Client(f"client_{name}")
        self._time = 100.0
        wait_for(self.robot.connected, "the map's subscriptions")

    def close(self) -> None:
        self.mapping.close()
        self.robot.close()
        self.client.close()

    @property
    def full_name(self) -> str:
        return f"{self.namespace.strip('/')}/map_node"

    def see(self, poses: Any, count: int | None = None, **arguments: Any) -> None:
        """Shows the room from some poses, and waits until so many frames are mapped; None: all of them."""
        before = self.mapped()
        for pose in poses:
            self._time += 0.2
            self.robot.show(self._time, pose, **arguments)
            wanted = before + 1 if count is None else before
            if count is None:
                wait_for(lambda wanted=wanted: self.mapped() >= wanted, "a mapped frame")
                before = self.mapped()

    def mapped(self) -> int:
        return int(self.client.diagnostics(self.full_name).get("frames/mapped", 0))

    def ask(self, kind: Any, service: str, **fields: Any) -> Any:
        return call(self.client.node, kind, f"{self.namespace}/map_node/{service}", fields)


@pytest.fixture
def graph(request: pytest.FixtureRequest) -> Iterator[Graph]:
    made = Graph(
        request.node.name.translate(str.maketrans("[]-.", "____"))[:40], **getattr(request, "param", {})
    )
    yield made
    made.close()


def test_words_labels_and_examples_find_the_thing_where_it_is(graph: Graph) -> None:
    graph.see(around(4))
    low, high = (np.array(corner) for corner in BOXES["mug"])
    for fields in (
        {"text": "mug"},
        {"label": "mug"},
        {"exemplar": Embedding(space=SPACE, data=word("mug").tolist())},
        {"exemplar": Embedding(space=SPATIAL, data=word("mug").tolist())},
    ):
        answer = graph.ask(FindObjects, "find", **fields)
        assert answer.success and answer.answer == FindObjects.Response.FOUND, answer.message
        assert answer.header.frame_id == "map"
        found = answer.objects[0]
        centre = np.array([getattr(found.box.center.position, axis) for axis in "xyz"])
        assert found.label == "mug"
        assert ((centre > low - 0.05) & (centre < high + 0.05)).all()
    absent = graph.ask(FindObjects, "find", label="elephant")
    assert absent.success and absent.answer == FindObjects.Response.NOT_SEEN
    assert "not seen" in absent.message and not absent.objects


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "0 questions"),
        ({"text": "mug", "label": "mug"}, "2 questions"),
        ({"exemplar": Embedding(space="other@1", data=[1.0])}, "other@1"),
        ({"exemplar": Embedding(space=SPACE, data=[float("nan")])}, "finite"),
        ({"label": "mug", "radius": -1.0}, "radius"),
        ({"label": "mug", "min_score": 2.0}, "min_score"),
    ],
)
def test_requests_that_make_no_sense_are_refused(
    shared_graph: Graph, fields: dict[str, Any], reason: str
) -> None:
    answer = shared_graph.ask(FindObjects, "find", **fields)
    assert not answer.success and reason in answer.message


@pytest.fixture(scope="module")
def shared_graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    made = Graph("refusals")
    made.see(around(3))
    yield made
    made.close()


def test_outputs_carry_the_map_and_only_come_when_somebody_listens(graph: Graph) -> None:
    node = f"{graph.namespace}/map_node"
    graph.client.listen(Detection3DArray, f"{node}/detections", latched_qos())
    graph.client.listen(OccupancyGrid, f"{node}/grid", latched_qos())
    graph.see(around(4))
    found = graph.client.newest(f"{node}/detections", lambda message: len(message.detections) == 2)
    assert found.header.frame_id == "map"
    assert {one.results[0].hypothesis.class_id for one in found.detections} == {"mug", "chair"}
    grid = graph.client.newest(f"{node}/grid", lambda message: message.info.width > 0)
    cells = np.array(grid.data, np.int8).reshape(grid.info.height, grid.info.width)
    assert {0, 100} <= set(np.unique(cells).tolist())


def test_approach_faces_the_thing_or_says_why_not(graph: Graph) -> None:
    graph.see([*around(4), *(looking(x, 0.0, 0.0, down=1.1) for x in (-0.6, -0.3, 0.0, 0.3))])
    found = graph.ask(FindObjects, "find", label="mug").objects[0]
    answer = graph.ask(ApproachObject, "approach", id=found.id, distance=0.6)
    assert answer.success, answer.message
    pose = answer.pose.pose
    towards = np.array(
        [found.box.center.position.x - pose.position.x, found.box.center.position.y - pose.position.y]
    )
    yaw = 2 * np.arctan2(pose.orientation.z, pose.orientation.w)
    assert np.arctan2(towards[1], towards[0]) == pytest.approx(yaw, abs=0.1)
    unknown = graph.ask(ApproachObject, "approach", id="999")
    assert not unknown.success and "999" in unknown.message
    graph.robot.boxes.pop("mug")
    graph.see(around(4))
    left = graph.ask(ApproachObject, "approach", id=found.id)
    assert not left.success and "not there any more" in left.message
    both = graph.ask(ApproachObject, "approach", id="1", text="mug")
    assert not both.success and "exactly one" in both.message


def test_what_is_saved_comes_back_and_a_refused_name_changes_nothing(graph: Graph) -> None:
    graph.see(around(4))
    saved = graph.ask(SaveMap, "save", name="lab")
    assert saved.success and saved.objects == 2, saved.message
    for name in ("../lab", "", "no/such", "absent"):
        assert not graph.ask(LoadMap, "load", name=name).success
    assert graph.ask(ForgetObjects, "forget", label="mug").forgotten == 1
    assert graph.ask(FindObjects, "find", label="mug").answer == FindObjects.Response.NOT_SEEN
    loaded = graph.ask(LoadMap, "load", name="lab")
    assert loaded.success and loaded.objects == 2
    assert graph.ask(FindObjects, "find", label="mug").answer == FindObjects.Response.FOUND
    assert graph.ask(Trigger, "clear").success
    assert graph.ask(FindObjects, "find", label="mug").answer == FindObjects.Response.NOT_SEEN


def test_a_named_map_goes_on_after_the_node(maps: Path) -> None:
    first = Graph("first", map="kitchen", journal_period=0.1)
    try:
        first.see(around(4))
        before = first.ask(FindObjects, "find", label="mug").objects[0]
    finally:
        first.close()
    second = Graph("second", map="kitchen")
    try:
        after = second.ask(FindObjects, "find", label="mug").objects[0]
    finally:
        second.close()
    assert (after.id, after.sightings) == (before.id, before.sightings)
    assert after.first_seen == before.first_seen


def test_looks_until_it_is_seen(graph: Graph) -> None:
    client = ActionClient(graph.client.node, LookFor, f"{graph.namespace}/map_node/look_for")
    wait_for(client.server_is_ready, "the action")
    feedback: list[Any] = []
    goal = client.send_goal_async(LookFor.Goal(label="chair"), feedback.append)
    wait_for(goal.done, "the goal")
    result = goal.result().get_result_async()
    wait_for(lambda: feedback, "feedback")
    assert not result.done()
    graph.see(around(4))
    wait_for(result.done, "the result")
    assert result.result().result.success and result.result().result.object.label == "chair"
    late = client.send_goal_async(LookFor.Goal(label="elephant", timeout=0.2))
    wait_for(late.done, "the goal")
    ended = late.result().get_result_async()
    wait_for(ended.done, "the result")
    assert not ended.result().result.success and "not seen within 0.2 s" in ended.result().result.message


def test_goals_end_with_the_node_s_activity_and_are_limited(graph: Graph) -> None:
    client = ActionClient(graph.client.node, LookFor, f"{graph.namespace}/map_node/look_for")
    wait_for(client.server_is_ready, "the action")

    def sent(**fields: Any) -> Any:
        future = client.send_goal_async(LookFor.Goal(label="elephant", **fields))
        wait_for(future.done, "the goal")
        return future.result()

    for timeout in (-1.0, float("nan")):
        refused = sent(timeout=timeout).get_result_async()
        wait_for(refused.done, "the result")
        assert "no time" in refused.result().result.message
    goals = [sent() for _ in range(MOST_GOALS + 1)]
    accepted = [one.get_result_async() for one in goals if one.accepted]
    assert len(accepted) == MOST_GOALS
    assert graph.ask(FindObjects, "find", label="mug").success
    assert transition(graph, DEACTIVATE)
    for result in accepted:
        wait_for(result.done, "the result")
        assert "not active" in result.result().result.message
    assert transition(graph, ACTIVATE) and sent(timeout=0.1).accepted


def test_messages_without_a_stamp_are_left_out_and_told(graph: Graph) -> None:
    graph.robot.show(0.0)
    graph.client.wait_report(graph.full_name, "has no stamp")
    graph.see(around(2))
    assert graph.client.diagnostics(graph.full_name)["frames/in"] == "2"


@pytest.mark.parametrize("graph", [{"map": "kitchen", "journal_period": 0.1}], indirect=True)
def test_a_map_whose_folder_is_taken_away_is_told_and_can_be_saved_anew(graph: Graph, maps: Path) -> None:
    graph.see(around(3))
    # In one step, whatever the node is writing there.
    (maps / "kitchen").rename(maps / "away")
    told = graph.client.wait_diagnostics(graph.full_name, "message", lambda text: "was removed" in text)
    assert told["level"] == str(DiagnosticStatus.ERROR[0]) and "~/save" in told["message"]
    graph.see(around(4)[3:])
    assert graph.ask(SaveMap, "save").success
    graph.client.wait_diagnostics(graph.full_name, "message", lambda text: "was removed" not in text)
    assert {one["label"] for one in MapFolder(maps).load("kitchen").objects} == {"mug", "chair"}
    with MemoryStore(MapFolder(maps).memory_path("kitchen"), read_only=True) as memory:
        assert memory.counts().sightings == 8


@pytest.mark.parametrize("graph", [{"pose_patience": 0.3}], indirect=True)
def test_frames_without_pose_or_with_wrong_depth_are_counted_and_told(graph: Graph) -> None:
    graph.see([looking(0, 0, 0)], count=0, transform=False)
    graph.client.wait_report(graph.full_name, "frames get no pose")
    graph.see(around(2))
    graph.see([looking(0, 0, 0)], count=0, depth_scale=1000.0)
    graph.client.wait_report(graph.full_name, "1000 times too large")
    graph.see([looking(0, 0, 0)], count=0, depth_shift=0.5)
    graph.client.wait_diagnostics(graph.full_name, "synchronised/no_depth", lambda value: int(value) >= 1)
    graph.see(around(2))


@pytest.mark.parametrize("graph", [{"poses": "odometry"}, {"poses": "pose"}, {}], indirect=True)
def test_poses_that_are_no_poses_are_counted_skipped_and_told(graph: Graph) -> None:
    robot, topic = graph.robot, graph.mapping.node.get_parameter("poses").value
    for w, reason, count, words in (
        (0.0, "invalid_quaternion", "1", "the quaternion (0, 0, 0, 0) is no rotation"),
        (3.0, "invalid_quaternion", "2", "(0, 0, 0, 3) has the length 3"),
        (float("nan"), "not_finite", "1", "(0, 0, 0, nan) has numbers that are not finite"),
    ):
        robot.pose(topic, 100.2, looking(0, 0, 0).translation, (0.0, 0.0, 0.0, w))
        counter = f"malformed/{topic}_{reason}"
        told = graph.client.wait_diagnostics(graph.full_name, counter, count.__eq__)
        text = told["message"] + told.get("also", "")
        assert f"{topic}: the pose of" in text and words in text
    for stamp in (100.0, 100.4):
        robot.pose(topic, stamp, looking(0, 0, 0).translation, looking(0, 0, 0).quaternion)
    robot.show(100.2, looking(0, 0, 0), transform=False)
    graph.client.wait_diagnostics(graph.full_name, "frames/mapped", lambda value: int(value) == 1)


@pytest.mark.parametrize("graph", [{"pose_patience": 30.0}], indirect=True)
def test_a_late_pose_is_waited_for(graph: Graph) -> None:
    pose = looking(0, 0, 0)
    graph.robot.show(200.0, pose, transform=False)
    graph.client.wait_diagnostics(graph.full_name, "frames/waiting_for_pose", lambda value: int(value) == 1)
    graph.robot.move(200.0, pose)
    graph.client.wait_diagnostics(graph.full_name, "frames/mapped", lambda value: int(value) == 1)
    assert graph.client.diagnostics(graph.full_name)["frames/pose_late"] == "1"


def test_a_jump_of_the_localisation_moves_what_was_seen(graph: Graph) -> None:
    graph.see(around(4))
    turned = RigidTransform.of_quaternion((0.5, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    graph.see(around(6), count=0, map_from_odom=turned)
    graph.client.wait_diagnostics(graph.full_name, "map/jumps", lambda value: int(value) >= 1)
    # What was seen before moves by the part of the jump that the drift had reached; the rest is seen anew.
    graph.see(around(10), map_from_odom=turned)
    answer = graph.ask(FindObjects, "find", label="mug")
    assert len(answer.objects) == 1
    low, high = (np.array(corner) for corner in BOXES["mug"])
    centre = answer.objects[0].box.center.position.x
    assert centre == pytest.approx((low[0] + high[0]) / 2 + 0.5, abs=0.15)


def test_is_managed_like_other_nodes(graph: Graph) -> None:
    graph.see(around(3))
    assert transition(graph, DEACTIVATE)
    refused = graph.ask(FindObjects, "find", label="mug")
    assert not refused.success and "not active" in refused.message
    assert transition(graph, ACTIVATE)
    assert graph.ask(FindObjects, "find", label="mug").answer == FindObjects.Response.FOUND
    assert transition(graph, DEACTIVATE) and transition(graph, CLEANUP)
    assert transition(graph, CONFIGURE) and transition(graph, ACTIVATE)
    assert graph.ask(FindObjects, "find", label="mug").answer == FindObjects.Response.NOT_SEEN


@pytest.mark.parametrize("graph", [{"text_service": False}], indirect=True)
def test_without_an_encoder_labels_still_answer(graph: Graph) -> None:
    graph.see(around(4))
    assert graph.ask(FindObjects, "find", text="mug").answer == FindObjects.Response.FOUND
    unknown = graph.ask(FindObjects, "find", text="something red")
    assert not unknown.success and "embed_text" in unknown.message


def transition(graph: Graph, number: int) -> bool:
    """Whether a lifecycle transition succeeded."""
    request = ChangeState.Request()
    request.transition.id = number
    return bool(
        call(
            graph.client.node,
            ChangeState,
            f"{graph.namespace}/map_node/change_state",
            {"transition": request.transition},
        ).success
    )


def test_the_parameter_file_lists_every_parameter_with_its_default(repository: Path) -> None:
    listed = yaml.safe_load((repository / "config/map_node.yaml").read_text())["/**"]["ros__parameters"]
    defaults = {s.name: list(s.default) if isinstance(s.default, tuple) else s.default for s in SPECS}
    assert listed == defaults
    assert {name: type(one) for name, one in listed.items()} == {n: type(o) for n, o in defaults.items()}
    table = (repository / "docs/map.md").read_text()
    assert all(f"| `{name}` |" in table for name in defaults)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"perception": "a b"}, "'a b' cannot be the name of a node"),
        ({"perception": ""}, "'' cannot be the name of a node"),
        ({"map_frame": "/map"}, "begins with a slash"),
        ({"base_frame": "/base_link"}, "begins with a slash"),
        ({"map_frame": ""}, "'map_frame' is empty"),
        ({"near": 2.0, "max_range": 1.0}, "not below max_range"),
        ({"surface_voxel_size": 0.001}, "below 0.005"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        check_together({spec.name: spec.default for spec in SPECS} | values, values)


def test_a_program_asks_the_map(graph: Graph) -> None:
    with PerceptionClient(
        target=f"{graph.namespace}/perception_node", map_target=f"{graph.namespace}/map_node"
    ) as perception:
        with pytest.raises(RefusedError, match="no object '7'"):
            perception.map.forget(["7"])
        graph.see([*around(4), *(looking(x, 0.0, 0.0, down=1.1) for x in (-0.6, -0.3, 0.0, 0.3))])
        found = perception.find("mug", thumbnails=True)
        assert found.answer == "found" and found.frame_id == "map" and found.best is not None
        assert found.best.thumbnail[:2] == b"\xff\xd8"
        low, high = (np.array(corner) for corner in BOXES["mug"])
        assert found.best.box.contains(((low + high) / 2)[None], margin=0.1).all()
        assert perception.map.find(label="mug", near=(0, 0, 0), radius=0.5).answer == "not_seen"
        assert perception.map.find(label="mug", within=(low - 0.1, high + 0.1)).answer == "found"
        assert perception.map.find(label="mug", since=10**18).answer == "not_seen"
        assert perception.map.find(exemplar=perception.embed_text(["chair"])).best.label == "chair"
        place = perception.approach(found.best, 0.6)
        assert place.thing.id == found.best.id and place.pose.header.frame_id == "map"
        assert perception.map.forget([found.best]) == 1
        assert perception.find("mug").answer != "found"
