"""A node serves trained heads beside its queries, and changes them between two frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

rclpy = pytest.importorskip("rclpy")

import ros_camera  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from rcl_interfaces.srv import SetParametersAtomically  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_graph import DIAGNOSTICS_PERIOD, Client, Spinning, wait_for  # noqa: E402
from ros_models import TinyModelBuilder  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from small_models import encoders_of  # noqa: E402
from vision_msgs.msg import Detection2DArray, LabelInfo  # noqa: E402

from perception_contrast.core.errors import ModelError  # noqa: E402
from perception_contrast.heads.head_card import HeadCard, HeadSettings  # noqa: E402
from perception_contrast.heads.head_files import HEAD_FILE, write_head  # noqa: E402
from perception_contrast.heads.head_networks import DetectionNetwork, network_of  # noqa: E402
from perception_contrast.nodes.perception_node import PerceptionNode  # noqa: E402
from perception_contrast.ros import qos  # noqa: E402
from perception_contrast.ros.parameters import node_parameters as parameters  # noqa: E402

pytestmark = pytest.mark.ros
NODE, NAME = "/heads/perception_node", "heads/perception_node"


def head_run(folder: Path, label: str, space: str = "") -> str:
    """A head that finds its class everywhere."""
    spatial = encoders_of("lit").spatial
    card = HeadCard(
        "detection", (label,), space or spatial.space, spatial.dim, 56, settings=HeadSettings(16, 1)
    )
    torch.manual_seed(0)
    network = network_of(card)
    assert isinstance(network, DetectionNetwork)
    with torch.no_grad():
        for bias in (network.classes.hidden.bias, network.quality.bias):
            assert bias is not None
            bias.fill_(4.0)
    write_head(folder / label / HEAD_FILE, card, network)
    return str(folder / label)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[SimpleNamespace]:
    rclpy.init()
    client, builder = Client(), TinyModelBuilder()
    values = {
        "model": "lit",
        "queries": ["mug"],
        "autostart": False,
        "engine": "torch",
        "heads": [head_run(tmp_path, "cup")],
    }
    node = PerceptionNode(
        build=builder,
        diagnostics_period=DIAGNOSTICS_PERIOD,
        namespace="/heads",
        parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
    )
    spinning = Spinning(node)
    client.listen(Detection2DArray, f"{NODE}/detections")
    client.listen(LabelInfo, f"{NODE}/label_info", qos.latched_qos())
    camera = client.node.create_publisher(Image, "/heads/image", 2)
    feed = client.node.create_timer(0.05, lambda: camera.publish(ros_camera.raw()))
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        change = Transition(id=transition)
        assert client.call(ChangeState, f"{NODE}/change_state", transition=change).success
    yield SimpleNamespace(client=client, node=node, folder=tmp_path)
    client.node.destroy_timer(feed)
    node.close()
    spinning.stop()
    node.destroy_node()
    client.close()
    rclpy.shutdown()


def set_heads(served: SimpleNamespace, *heads: str) -> Any:
    wish = [Parameter("heads", value=list(heads)).to_parameter_msg()]
    return served.client.call(
        SetParametersAtomically, f"{NODE}/set_parameters_atomically", parameters=wish
    ).result


def labels(message: Detection2DArray) -> set[str]:
    return {one.results[0].hypothesis.class_id for one in message.detections}


def test_classes_of_heads_are_published_changed_and_refused(served: SimpleNamespace) -> None:
    client = served.client
    client.newest(f"{NODE}/detections", lambda one: "cup" in labels(one))
    bowl = head_run(served.folder, "bowl")
    assert set_heads(served, bowl).successful
    client.newest(f"{NODE}/detections", lambda one: "bowl" in labels(one) and "cup" not in labels(one))
    latched = client.received[f"{NODE}/label_info"]
    wait_for(
        lambda: any({"mug", "bowl"} <= {c.class_name for c in one.class_map} for one in latched),
        "the labels of queries and heads",
    )
    # Of another encoder: told, and the old one stays.
    assert set_heads(served, head_run(served.folder, "fork", "dinov2-b14@1")).successful
    told = "was trained on features of dinov2-b14@1"
    client.wait_diagnostics(NAME, "message", lambda text: told in text)
    wait_for(lambda: list(served.node.get_parameter("heads").value) == [bowl], "the parameter to go back")
    client.newest(f"{NODE}/detections", lambda one: "bowl" in labels(one))


def test_a_head_that_cannot_be_served_is_refused_at_once(tmp_path: Path) -> None:
    values = {**parameters.defaults(), "heads": [str(tmp_path / "nowhere")]}
    with pytest.raises(ModelError, match="there is no head"):
        parameters.check_heads(values)
    with pytest.raises(parameters.ParameterError, match="model_paths is false"):
        parameters.check_heads({**values, "model_paths": False})
    both = [head_run(tmp_path / "a", "cup"), head_run(tmp_path / "b", "cup")]
    with pytest.raises(ModelError, match="both have the class 'cup'"):
        parameters.check_heads({**values, "heads": both})
