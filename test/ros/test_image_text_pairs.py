"""A node that sees images alone is told, while it runs, to find by words what a run learned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")

import ros_camera  # noqa: E402
from perception_contrast_msgs.msg import FeatureMap  # noqa: E402
from perception_contrast_msgs.srv import EmbedText  # noqa: E402
from rcl_interfaces.srv import SetParametersAtomically  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from ros_graph import Client, Spinning  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from tiny_pairs import SIZE, colour_table  # noqa: E402

from perception_contrast.encoders.clip import load_clip  # noqa: E402
from perception_contrast.nodes.perception_node import PerceptionNode  # noqa: E402
from perception_contrast.ros.messages.image_messages import image_message  # noqa: E402
from perception_contrast.text.clip_text_encoder import ClipTextEncoder  # noqa: E402
from perception_contrast_training.config.pretraining_recipe import recipe_of  # noqa: E402
from perception_contrast_training.engine.pretraining import start  # noqa: E402
from perception_contrast_training.export.export_run import export_run  # noqa: E402

pytestmark = pytest.mark.ros
NODE = "/pairs/perception_node"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A small vision transformer that learned the colours' names."""
    recipe = recipe_of(
        {
            "method": "clip", "name": "colours", "output": str(tmp_path / "run"), "tensorboard": False,
            "backbone": {"name": "vit_tiny_patch16_224", "size": SIZE, "patch": 8, "width": 48, "depth": 2,
                         "heads": 3},
            "options": {"dim": 16, "text": {"width": 16, "depth": 1, "heads": 2}}, "as_written": True,
            "data": {"path": str(colour_table(tmp_path)), "workers": 0, "held_out": 0.25},
            "optimisation": {"steps": 60, "batch": 8, "learning_rate": 1e-2, "warm_up": 0, "clip": 1.0},
            "measure": {"every": 0}, "monitors": {"alarms": "none"},
        }
    )  # fmt: skip
    assert start(recipe) == "finished"
    export_run(tmp_path / "run", tmp_path / "colours")
    return str(tmp_path / "colours")


@pytest.fixture
def running(folder: str) -> Iterator[SimpleNamespace]:
    rclpy.init()
    client = Client()
    values = {"model": folder, "language_model": "none", "offline": True, "short_side": 64, "engine": "torch"}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = PerceptionNode(namespace="/pairs", parameter_overrides=overrides)
    spinning = Spinning(node)
    for topic in ("features", "semantic_features"):
        client.listen(FeatureMap, f"{NODE}/{topic}")
    camera = client.node.create_publisher(Image, "/pairs/image", 2)
    red = np.full((64, 96, 3), (200, 50, 50), np.uint8)
    feed = client.node.create_timer(0.05, lambda: camera.publish(image_message(red, ros_camera.HEADER)))
    yield SimpleNamespace(client=client, folder=folder)
    client.node.destroy_timer(feed)
    node.close()
    spinning.stop()
    node.destroy_node()
    client.close()
    rclpy.shutdown()


def test_a_running_node_learns_words_by_a_parameter(running: SimpleNamespace) -> None:
    client: Any = running.client
    pair = load_clip(running.folder)
    alone = client.newest(f"{NODE}/features")
    assert alone.model == "colours" and alone.space.startswith("colours@") and alone.space != pair.space
    wish = [Parameter("language_model", value=running.folder).to_parameter_msg()]
    service = f"{NODE}/set_parameters_atomically"
    assert client.call(SetParametersAtomically, service, parameters=wish).result.successful
    shared = client.newest(f"{NODE}/semantic_features", lambda message: message.space == pair.space)
    assert shared.channels == pair.dim == 16
    words = ["red", "green", "blue"]
    answer = client.call(EmbedText, f"{NODE}/embed_text", texts=words)
    assert answer.success and {one.space for one in answer.embeddings} == {pair.space}
    vectors = np.stack([np.asarray(one.data) for one in answer.embeddings])
    assert np.allclose(vectors, ClipTextEncoder(pair).encode(words), atol=1e-5)
    cells = np.frombuffer(bytes(shared.data), shared.dtype).reshape(-1, 16).astype(np.float32)
    assert int((cells @ vectors.T).mean(axis=0).argmax()) == 0
