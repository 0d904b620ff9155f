"""Models come, go and are changed for others while the node lives: real pipelines of tiny models."""

from __future__ import annotations

import gc
import inspect
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy")

import ros_camera  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from perception_contrast_msgs.msg import FeatureMap, Query  # noqa: E402
from perception_contrast_msgs.srv import AddExemplar, GetQueries, SetQueries  # noqa: E402
from rcl_interfaces.srv import SetParameters, SetParametersAtomically  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_graph import DIAGNOSTICS_PERIOD, Client, Spinning, own_threads, wait_for  # noqa: E402
from ros_models import TinyModelBuilder  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import VisionInfo  # noqa: E402

from perception_contrast.core.errors import ModelError  # noqa: E402
from perception_contrast.engines import choice, engine_trial  # noqa: E402
from perception_contrast.engines import onnxruntime_engine as ort  # noqa: E402
from perception_contrast.engines.engine_trial import plan_of  # noqa: E402
from perception_contrast.nodes.perception_node import PerceptionNode  # noqa: E402
from perception_contrast.pipeline.pipeline import Pipeline, build  # noqa: E402
from perception_contrast.ros import qos  # noqa: E402
from perception_contrast.ros.messages.image_messages import image_message  # noqa: E402
from perception_contrast.ros.parameters import node_parameters as parameters  # noqa: E402

pytestmark = pytest.mark.ros
NODE, NAME = "/life/perception_node", "life/perception_node"


@pytest.fixture(scope="module")
def life() -> Iterator[SimpleNamespace]:
    rclpy.init()
    client, builder = Client(), TinyModelBuilder()
    values = {"model": "lit", "queries": ["mug"], "autostart": False, "engine": "torch"}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = PerceptionNode(
        build=builder,
        diagnostics_period=DIAGNOSTICS_PERIOD,
        namespace="/life",
        parameter_overrides=overrides,
    )
    spinning = Spinning(node)
    client.listen(FeatureMap, f"{NODE}/semantic_features")
    client.listen(VisionInfo, f"{NODE}/vision_info", qos.latched_qos())
    camera = client.node.create_publisher(Image, "/life/image", 2)
    feed = client.node.create_timer(0.03, lambda: camera.publish(ros_camera.raw()))
    yield SimpleNamespace(client=client, node=node, builder=builder)
    client.node.destroy_timer(feed)
    node.close()
    spinning.stop()
    node.destroy_node()
    client.close()
    rclpy.shutdown()


def change(life, transition: int) -> bool:
    request = Transition(id=transition)
    return life.client.call(ChangeState, f"{NODE}/change_state", transition=request).success


def set_model(life, **values: str) -> Any:
    parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
    kind, service = SetParametersAtomically, f"{NODE}/set_parameters_atomically"
    return life.client.call(kind, service, parameters=parameters).result


@pytest.fixture
def active(life) -> Iterator[SimpleNamespace]:
    if life.client.call(GetState, f"{NODE}/get_state").current_state.label != "active":
        assert change(life, Transition.TRANSITION_CONFIGURE)
        assert change(life, Transition.TRANSITION_ACTIVATE)
    life.client.newest(f"{NODE}/semantic_features")
    yield life


def test_a_load_tells_how_far_it_is(life) -> None:
    life.builder.hold.clear()
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    asked = life.client.node.create_client(ChangeState, f"{NODE}/change_state").call_async(request)
    values = life.client.wait_diagnostics(NAME, "message", lambda text: text.startswith("configuring: lit"))
    assert values["loading"].startswith("lit") and float(values["loading/seconds"]) >= 0.0
    assert "configuring" in life.client.call(GetQueries, f"{NODE}/get_queries").message
    assert life.client.call(GetState, f"{NODE}/get_state").current_state.label == "configuring"
    # A change that comes while models load is in force once they have.
    asking = [Parameter("queries", value=["mug: a late mug"]).to_parameter_msg()]
    assert life.client.call(SetParameters, f"{NODE}/set_parameters", parameters=asking).results[0].successful
    life.builder.hold.set()
    wait_for(asked.done, "the end of configuring")
    assert asked.result().success and change(life, Transition.TRANSITION_ACTIVATE)
    kept = life.client.call(GetQueries, f"{NODE}/get_queries").queries.queries
    assert [list(query.phrases) for query in kept] == [["a late mug"]]


def test_a_node_encodes_texts_beside_its_frames(active) -> None:
    asked = inspect.signature(build).bind(**active.builder.asked).arguments
    assert asked["background_texts"] is True


def test_other_models_take_over_between_two_frames_and_every_message_says_so(active) -> None:
    client, builder = active.client, active.builder
    first = client.newest(f"{NODE}/semantic_features").space
    shown = image_message(ros_camera.image(), ros_camera.HEADER)
    assert client.call(AddExemplar, f"{NODE}/add_exemplar", label="mug", kind=2, image=shown).success
    assert client.call(AddExemplar, f"{NODE}/add_exemplar", label="only seen", kind=2, image=shown).success
    old, before = builder.made[-1], len(client.received[f"{NODE}/semantic_features"])
    builder.hold.clear()
    assert set_model(active, model="clip").successful
    client.wait_diagnostics(NAME, "message", lambda text: text.startswith("loading clip"))
    # The old ones serve on, and what is asked of them meanwhile is not lost.
    assert client.newest(f"{NODE}/semantic_features").space == first
    kept = client.call(GetQueries, f"{NODE}/get_queries").queries.queries
    queries = [*kept, Query(label="sofa")]
    assert client.call(SetQueries, f"{NODE}/set_queries", queries=queries).success
    ids = builder.made[-1].vocabulary.ids
    builder.hold.set()
    message = client.newest(f"{NODE}/semantic_features", lambda one: one.space != first)
    wait_for(
        lambda: client.received[f"{NODE}/vision_info"][-1].database_location == f"space:{message.space}", "it"
    )
    spaces = [one.space for one in client.received[f"{NODE}/semantic_features"][before:]]
    assert spaces == sorted(spaces, key=[first, message.space].index)
    new = builder.made[-1]
    assert new is not old and client.diagnostics(NAME)["level"] != "2"
    # Words go on in the new space under their old ids; what was shown in the old space cannot.
    labels = {query.label: query for query in new.vocabulary.queries}
    assert set(labels) == {"mug", "sofa"} and not labels["mug"].exemplars
    assert new.vocabulary.ids == ids
    client.wait_diagnostics(NAME, "vocabulary/refused", lambda count: int(count) > 0)
    client.wait_report(NAME, "'only seen' was shown in another space")


def test_what_was_shown_goes_on_with_other_words_for_the_same_image_model(active) -> None:
    client, builder = active.client, active.builder
    assert set_model(active, model="lit").successful
    client.newest(f"{NODE}/semantic_features", lambda one: one.model.startswith("household-lit"))
    shown = image_message(ros_camera.image(), ros_camera.HEADER)
    assert client.call(AddExemplar, f"{NODE}/add_exemplar", label="shown", kind=2, image=shown).success
    assert set_model(active, model="apart").successful
    client.newest(f"{NODE}/semantic_features", lambda one: not one.model.startswith("household-lit"))
    labels = {query.label: query for query in builder.made[-1].vocabulary.queries}
    assert len(labels["shown"].exemplars) == 1
    asked = client.call(GetQueries, f"{NODE}/get_queries").queries.queries
    kept = [query for query in asked if query.label != "shown"]
    assert client.call(SetQueries, f"{NODE}/set_queries", queries=kept).success


def test_models_that_cannot_be_loaded_leave_the_old_ones_and_the_parameter(active) -> None:
    client = active.client
    serving = client.newest(f"{NODE}/semantic_features").space
    model = active.node.get_parameter("model").value
    assert set_model(active, model="broken").successful
    # What was told before, of words in another space, is news for a while.
    told = "'broken' could not take over: the weights of 'broken' are damaged"
    values = client.wait_diagnostics(NAME, "message", lambda text: told in text)
    assert int(values["models/failures"]) > 0
    wait_for(lambda: active.node.get_parameter("model").value == model, "the parameter to go back")
    assert client.newest(f"{NODE}/semantic_features").space == serving


def test_the_last_of_many_wishes_is_served(active) -> None:
    active.builder.hold.clear()
    for name in ("clip", "broken", "apart", "lit"):
        assert set_model(active, model=name).successful
    active.builder.hold.set()
    wait_for(lambda: active.builder.made[-1].models["semantic"][0] == "household-lit", "the last model")
    active.client.newest(f"{NODE}/semantic_features", lambda one: one.model.startswith("household-lit"))
    assert active.node.get_parameter("model").value == "lit"


def test_memory_is_released_while_inactive_where_that_is_asked_for(active) -> None:
    client = active.client
    parameter = Parameter("release_on_deactivate", value=True).to_parameter_msg()
    client.call(SetParameters, f"{NODE}/set_parameters", parameters=[parameter])
    assert client.call(SetQueries, f"{NODE}/set_queries", queries=[Query(label="sofa")]).success
    assert change(active, Transition.TRANSITION_DEACTIVATE)
    # Diagnostics name the models while there are any.
    wait_for(lambda: "model/semantic" not in client.diagnostics(NAME), "the models to be released")
    assert "inactive" in client.call(GetQueries, f"{NODE}/get_queries").message
    assert change(active, Transition.TRANSITION_ACTIVATE)
    assert [q.label for q in client.call(GetQueries, f"{NODE}/get_queries").queries.queries] == ["sofa"]
    client.newest(f"{NODE}/semantic_features")
    active.node.set_parameters([Parameter("release_on_deactivate", value=False)])


OWNERS = {"perception_contrast", "torch", "timm", "open_clip", "onnxruntime", "rclpy", "threading"}


def objects() -> Counter[str]:
    """Types of ours and of what nodes and models are made of to the number of their objects."""
    gc.collect()
    kinds = [type(one) for one in gc.get_objects()]
    # Some types of extensions have a descriptor there.
    ours = [kind for kind in kinds if str(kind.__module__).partition(".")[0] in OWNERS]
    return Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in ours)


@pytest.fixture
def slow_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[threading.Event]:
    """The engine "onnxruntime" takes until the event is set to be built, and always serves faster."""
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path))
    built, build = threading.Event(), ort.build_ort_engine

    def slow(*arguments: Any, **options: Any) -> Any:
        built.wait(120.0)
        return build(*arguments, **options)

    def took(engines: Any, *_: Any, **__: Any) -> dict[str, float]:
        return {str(plan_of(one)): 1.0 if one.name == "onnxruntime" else 2.0 for one in engines}

    # Whatever formats this processor multiplies fast.
    monkeypatch.setattr(choice, "fast_formats", lambda: ("fp32",))
    monkeypatch.setattr(ort, "build_ort_engine", slow)
    monkeypatch.setattr(engine_trial, "measure", took)
    yield built
    built.set()


def engine_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "engines"]


def test_frames_are_answered_while_an_engine_takes_minutes_to_build(active, slow_build) -> None:
    client, topic = active.client, f"{NODE}/semantic_features"
    made = len(active.builder.made)
    assert set_model(active, model="clip", engine="auto").successful
    wait_for(lambda: len(active.builder.made) > made, "the pipeline")
    spaces = {client.newest(topic, lambda one: one.model.startswith("clip")).space}
    key, telling = "engine/spatial", "choosing: serving with torch fp32, trying onnxruntime fp32"
    client.wait_diagnostics(NAME, key, lambda why: why == telling)
    spaces |= {client.newest(topic).space for _ in range(3)}
    slow_build.set()
    told = client.wait_diagnostics(NAME, key, lambda why: why.startswith("onnxruntime fp32"))[key]
    assert "1.0 ms, torch fp32 2.0 ms" in told
    spaces |= {client.newest(topic).space}
    assert len(spaces) == 1, "a vector may be compared with those of before"
    wait_for(lambda: not engine_threads(), "the end of the choice")


@pytest.mark.parametrize("how", ["deactivated", "cleaned up", "another model"])
def test_a_choice_that_goes_on_is_called_off_with_its_models(active, slow_build, how: str) -> None:
    client = active.client
    assert set_model(active, model="clip", engine="torch").successful
    client.newest(f"{NODE}/semantic_features", lambda one: one.model.startswith("clip"))
    assert set_model(active, model="apart", engine="auto").successful
    client.wait_diagnostics(NAME, "engine/spatial", lambda why: "trying onnxruntime" in why)
    if how == "another model":
        assert set_model(active, model="lit", engine="torch").successful
        client.newest(f"{NODE}/semantic_features", lambda one: one.model.startswith("household-lit"))
    else:
        assert change(active, Transition.TRANSITION_DEACTIVATE)
        if how == "cleaned up":
            assert change(active, Transition.TRANSITION_CLEANUP)
            assert set_model(active, engine="torch").successful
    slow_build.set()
    if how == "deactivated":
        # Held, not lost: what was being built goes through the gate once frames come again.
        assert engine_threads()
        assert change(active, Transition.TRANSITION_ACTIVATE)
        client.wait_diagnostics(NAME, "engine/spatial", lambda why: why.startswith("onnxruntime"))
    wait_for(lambda: not engine_threads(), "the end of the thread")
    if how == "cleaned up":
        assert change(active, Transition.TRANSITION_CONFIGURE)
        assert change(active, Transition.TRANSITION_ACTIVATE)
    assert set_model(active, model="lit", engine="torch").successful
    client.newest(f"{NODE}/semantic_features", lambda one: one.model.startswith("household-lit"))


def test_models_that_are_changed_while_the_node_is_inactive_wait_with_their_choice(
    active, slow_build, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, pause = [], Pipeline.pause

    def spy(pipeline: Pipeline) -> None:
        pause(pipeline)
        held.append(pipeline)

    monkeypatch.setattr(Pipeline, "pause", spy)
    assert change(active, Transition.TRANSITION_DEACTIVATE)
    made = len(active.builder.made)
    assert set_model(active, model="clip", engine="auto").successful
    wait_for(lambda: [one for one in active.builder.made[made:] if one in held], "the new models, held")
    slow_build.set()
    assert engine_threads()
    assert change(active, Transition.TRANSITION_ACTIVATE)
    why = active.client.wait_diagnostics(NAME, "engine/spatial", lambda why: why.startswith("onnxruntime"))
    assert "torch fp32 2.0 ms" in why["engine/spatial"]
    wait_for(lambda: not engine_threads(), "the end of the choice")
    assert set_model(active, model="lit", engine="torch").successful
    active.client.newest(f"{NODE}/semantic_features", lambda one: one.model.startswith("household-lit"))


def test_new_configurations_leave_nothing_behind(active) -> None:
    """Models of two kinds in turn: threads, objects and labels stay what they were. Memory: test_soak."""
    client, names, times = active.client, ("lit", "clip"), 3

    def again(number: int) -> None:
        active.builder.made.clear()
        for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
            assert change(active, transition)
        assert set_model(active, model=names[number % 2]).successful
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            assert change(active, transition)
        client.newest(f"{NODE}/semantic_features")
        for messages in client.received.values():
            messages.clear()

    def labels() -> list[str]:
        return [one.label for one in client.call(GetQueries, f"{NODE}/get_queries").queries.queries]

    asked = labels()
    counted = []
    for _ in range(4):
        for number in range(times):
            again(number)
        counted.append((len(own_threads()), objects()))
    (threads, before), (_, middle), (_, late), (threads_at_last, last) = counted
    assert threads_at_last == threads
    # What frames make comes and goes, and a stage that is new is measured from then on; what configurations
    # leave behind is more each time, and as often as they were made.
    more = (middle - before) & (late - middle) & (last - late)
    assert {kind: count for kind, count in more.items() if count >= times} == {}
    assert labels() == asked


PROGRAM = """
import ros_double  # noqa: E402
from perception_contrast.nodes.perception_node import NAME, PerceptionNode  # noqa: E402
from perception_contrast.ros.node.run_node import exit_process, run_node  # noqa: E402
exit_process(run_node(lambda shutdown: PerceptionNode(shutdown, build=ros_double.build), NAME))
"""


def test_a_node_that_is_killed_comes_back_with_what_it_was_looking_for(life, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PERCEPTION_CONTRAST_STATE", str(tmp_path))
    client, name = life.client, "/mortal/perception_node"

    def start() -> subprocess.Popen[bytes]:
        arguments = ["--ros-args", "-r", "__ns:=/mortal", "-p", "model:=scripted", "-p", "queries:=['mug']"]
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=(Path(__file__).resolve().parents[1] / "support"),
            stderr=subprocess.DEVNULL,
        )
        client.received["/diagnostics"].clear()
        client.wait_diagnostics(name[1:], "state", lambda state: state == "active")
        return process

    def labels() -> list[str]:
        answer = wait_for(
            lambda: asked if (asked := client.call(GetQueries, f"{name}/get_queries")).success else None, ""
        )
        return [query.label for query in answer.queries.queries]

    process = start()
    assert labels() == ["mug"]
    assert client.call(SetQueries, f"{name}/set_queries", queries=[Query(label="sofa")]).success
    shown = image_message(ros_camera.image(), ros_camera.HEADER)
    assert client.call(AddExemplar, f"{name}/add_exemplar", label="keys", kind=2, image=shown).success
    process.kill()
    process.wait(10)
    process = start()
    assert labels() == ["sofa", "keys"]
    # Its exemplar too, which can be set again as it came.
    back = client.call(GetQueries, f"{name}/get_queries").queries.queries
    assert len(back[1].exemplars) == 1
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    # One that was told to end begins anew.
    process = start()
    assert labels() == ["mug"]
    process.terminate()
    assert process.wait(20) == 0


def test_a_path_is_taken_for_a_model_only_where_paths_are_allowed(tmp_path: Path) -> None:
    values = {**parameters.defaults(), "model": str(tmp_path)}
    with pytest.raises(ModelError, match=r"it has no model\.json"):
        parameters.check_model_names(values)
    with pytest.raises(parameters.ParameterError, match="model_paths is false"):
        parameters.check_model_names({**values, "model_paths": False})
    parameters.check_model_names({**values, "model": "dinov2-s14", "model_paths": False})
