"""What users start from: presets, layouts, the security policy, units and images, against the node itself."""

from __future__ import annotations

import configparser
import json
import re
import xml.etree.ElementTree as xml
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

rclpy = pytest.importorskip("rclpy")

from ros_colours import Camera, Colours  # noqa: E402
from ros_graph import wait_for  # noqa: E402

from perception_contrast.client import PerceptionClient  # noqa: E402
from perception_contrast.models.registry import model_spec  # noqa: E402
from perception_contrast.ros.parameters import node_parameters as parameters  # noqa: E402
from perception_contrast.ros.parameters.parameter_table import SPECS  # noqa: E402

pytestmark = pytest.mark.ros
PRESETS = ("onboard_small", "onboard_large", "cpu", "offboard")
# Published beside the results of frames.


def values_in(path: Path) -> dict[str, Any]:
    (node,) = yaml.safe_load(path.read_text()).values()
    return node["ros__parameters"]


@pytest.mark.parametrize("name", PRESETS)
def test_the_node_takes_a_preset_with_these_types(repository: Path, name: str) -> None:
    given = values_in(repository / "config/presets" / f"{name}.yaml")
    defaults = parameters.defaults()
    assert given.keys() <= defaults.keys()
    for key, value in given.items():
        assert type(value) is type(defaults[key]), key
    values = {**defaults, **given}
    assert not any(spec.problem(values[spec.name]) for spec in SPECS)
    parameters.check_together(values, given)
    for key in ("model", "language_model"):
        assert model_spec(given[key])
    assert given["max_tokens"] >= (given["short_side"] // 14) ** 2 * 16 // 9


def test_presets_are_those_that_launch_offers(repository: Path) -> None:
    assert {path.stem for path in (repository / "config/presets").glob("*")} == set(PRESETS)
    launch = (repository / "launch/perception.launch.py").read_text()
    assert f"PRESETS = {PRESETS!r}".replace("'", '"') in launch


def outputs(repository: Path) -> set[str]:
    """The outputs that docs/ros_interface.md promises."""
    text = (repository / "docs/ros_interface.md").read_text()
    table = text[text.index("| Out |") : text.index("## Services")]
    return set(re.findall(r"^\| `((?:~/|/diag)\S+)` \|", table, re.MULTILINE))


def strings(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for one in node:
            yield from strings(one)
    elif isinstance(node, str):
        yield node


def topics_in(tree: Any) -> set[str]:
    """Topics of perception_node in a configuration, without the path into the message, and /diagnostics."""
    found = {one.partition(".")[0] for one in strings(tree)}
    ours = {one.replace("/perception_node/", "~/") for one in found if one.startswith("/perception_node/")}
    return ours | (found & {"/diagnostics"})


def test_foxglove_shows_every_output_and_nothing_that_is_not(repository: Path) -> None:
    layout = json.loads((repository / "config/foxglove_perception.json").read_text())
    # JPEG is another transport of an image that is shown already.
    promised = {topic for topic in outputs(repository) if not topic.endswith("/compressed")}
    assert "~/detections" in promised and len(promised) >= 10
    # Boxes are drawn over the overlay: the names of annotations are keys.
    shown = topics_in(layout["configById"])
    assert promised == shown
    # Every panel is placed once, and every place has a panel.
    tabs = [tab["layout"] for one in layout["configById"].values() for tab in one.get("tabs", [])]
    leaves = {"row", "column"}
    placed = [one for one in strings(layout["layout"]) if one not in leaves] + tabs
    assert sorted(placed) == sorted(layout["configById"])


def test_rviz_shows_every_image_that_is_published(repository: Path) -> None:
    tree = yaml.safe_load((repository / "config/perception.rviz").read_text())
    displays = tree["Visualization Manager"]["Displays"]
    shown = {one["Topic"]["Value"] for one in displays if "Topic" in one and one["Enabled"]}
    text = (repository / "docs/ros_interface.md").read_text()
    images = set(re.findall(r"^\| `(~/\S+)` \| sensor_msgs/Image", text, re.MULTILINE))
    ours = {one for one in shown if one.startswith("/perception_node/")}
    assert {one.replace("/perception_node/", "~/") for one in ours} == images


Rights = dict[tuple[str, str], set[str]]


def rights(profile: xml.Element) -> Rights:
    """(kind, direction) to full names that a profile allows."""
    space, node = profile.get("ns", "/").rstrip("/"), profile.get("node", "")
    found: Rights = {}
    for group in profile:
        for direction, verdict in group.attrib.items():
            assert verdict == "ALLOW"
            for one in group:
                # Comments have no text of a name.
                name = (one.text or "").strip()
                if name.startswith("~/"):
                    name = f"{space}/{node}/{name[2:]}"
                elif not name.startswith("/"):
                    name = f"{space}/{name}"
                assert name not in found.setdefault((group.tag, direction), set()), name
                found[(group.tag, direction)].add(name)
    return found


def live(node: Any, name: str) -> Rights:
    """What a node has in the graph, in the same form."""
    ask = {
        ("topics", "publish"): node.get_publisher_names_and_types_by_node,
        ("topics", "subscribe"): node.get_subscriber_names_and_types_by_node,
        ("services", "reply"): node.get_service_names_and_types_by_node,
        ("services", "request"): node.get_client_names_and_types_by_node,
    }
    found = {key: {one for one, _ in method(name, "/")} for key, method in ask.items()}
    return {key: names for key, names in found.items() if names}


def profiles(repository: Path) -> dict[str, Rights]:
    root = xml.parse(repository / "config/sros2/policy.xml").getroot()
    found = {one.get("node", ""): rights(one) for one in root.iter("profile")}
    # sros2 takes every child of <enclaves> for an enclave, comments too.
    parser = xml.XMLParser(target=xml.TreeBuilder(insert_comments=True))
    whole = xml.parse(repository / "config/sros2/policy.xml", parser).getroot()
    enclaves = whole.find("enclaves")
    assert enclaves is not None and {one.tag for one in enclaves} == {"enclave"}
    return found


def test_the_policy_allows_what_the_nodes_do_and_nothing_more(repository: Path) -> None:
    policy = profiles(repository)
    rclpy.init()
    user = rclpy.create_node("asker")
    raw, camera = Colours("/", use_depth=True, use_sim_time=True), Camera(user, "", distance=1.0)
    watcher = rclpy.create_node("watcher")
    try:
        with PerceptionClient(user, timeout=30.0) as client:
            client.wait_until_active(60.0)
            camera.colour = "red"
            client.set_queries(["red"])
            client.latest_detections(), client.latest_masks(), client.latest_features()
            client.latest_instances(), client.latest_region_features(), client.latest_detections_3d()
            client.latest_features(semantic=True)
            client.similarity(text="red"), client.classify(["red"]), client.text_scores(["red"])
            client.get_queries(), client.embed_text(["red"]), client.add_exemplar("it", point=(100.0, 50.0))
            seen: dict[str, Rights] = {}

            def known() -> bool:
                for name in ("perception_node", "asker_perception_client"):
                    seen[name] = live(watcher, name)
                return len(seen["asker_perception_client"].get(("topics", "subscribe"), ())) == 8

            wait_for(known, "the graph")
    finally:
        camera.close()
        raw.close()
        watcher.destroy_node()
        user.destroy_node()
        rclpy.shutdown()
    assert seen["asker_perception_client"] == policy["asker_perception_client"]
    ours, allowed = seen["perception_node"], policy["perception_node"]
    assert ours.keys() == allowed.keys()
    # The camera may also send compressed images; only one of the two is read. A bond needs its messages, and
    # a depth camera of its own has a calibration and a place.
    extra = {"/image/compressed", "/bond", "/depth_camera_info", "/tf_static"}
    for key, names in ours.items():
        assert names <= allowed[key] <= names | extra, key


def test_the_unit_starts_what_is_installed(repository: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(repository / "docs/deploy/perception.service")
    assert {"Unit", "Service", "Install"} <= set(unit.sections())
    assert unit["Service"]["Restart"] == "on-failure" and unit["Service"]["KillSignal"] == "SIGINT"
    assert "ros2 launch perception_contrast perception.launch.py" in unit["Service"]["ExecStart"]


@pytest.mark.parametrize("name", ["x86", "jetson"])
def test_images_are_built_of_files_that_there_are(repository: Path, name: str) -> None:
    text = (repository / "docs/deploy" / f"Dockerfile.{name}").read_text()
    joined = text.replace("\\\n", " ")
    copied = [line.split()[1:-1] for line in joined.splitlines() if line.startswith("COPY")]
    assert copied and all((repository / one).exists() for line in copied for one in line)
    for path in re.findall(r"\S*requirements/\S+\.txt", joined):
        assert (repository / "requirements" / Path(path).name).is_file()
    assert re.search(r"^USER (?!root)", text, re.MULTILINE), "a container must not run as root"
