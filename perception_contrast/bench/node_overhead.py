"""Measures the ROS node over DDS: its overhead, its messages, several cameras, and restarts."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from perception_contrast_msgs.msg import FeatureMap, Query
from perception_contrast_msgs.srv import GetQueries, SetQueries
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from perception_contrast.bench.camera_messages import photograph
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.frame import Frame
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.core.process.allocator import reuse_large_blocks
from perception_contrast.core.vocabulary import Query as CoreQuery
from perception_contrast.pipeline.build import build
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.ros.messages.feature_map import to_message, to_numpy
from perception_contrast.ros.messages.image_messages import (
    image_array,
    image_message,
    nanoseconds,
    time_message,
)
from perception_contrast.ros.qos import output_qos

PATIENCE = 180.0
ENGINES_PATIENCE = 900.0  # on a busy machine the choice may take long
NODE = "perception_node"
CAMERA = "camera"  # frame_id: frames of one camera, which does not move, alone and in the node
Figures = dict[str, float]


class BenchClient:
    """A node that publishes images, listens and asks; spinning in a thread of its own."""

    def __init__(self) -> None:
        self.context = rclpy.context.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("bench_client", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self.status: dict[str, dict[str, str]] = {}
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        threading.Thread(target=self._spin, daemon=True).start()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            while self.context.ok():
                self._executor.spin_once(timeout_sec=0.2)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.status[status.name] = {pair.key: pair.value for pair in status.values}

    def wait(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """The first true value within ``patience`` seconds. Raises PerceptionError."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if value := condition():
                return value
            time.sleep(0.001)
        raise PerceptionError(f"{what}: not within {patience:.0f} s")

    def call(self, kind: Any, name: str, **fields: Any) -> Any:
        client = self.node.create_client(kind, name)
        self.wait(client.service_is_ready, f"service {name}")
        future = client.call_async(kind.Request(**fields))
        self.wait(future.done, f"an answer of {name}")
        self.node.destroy_client(client)
        return future.result()

    def wait_for_subscriber(self, output_name: str) -> None:
        """Waits until the node knows of one subscriber to an output."""
        key = f"subscribers/{output_name}"
        self.wait(lambda: self.status[NODE].get(key) == "1", f"a subscriber to {output_name}")

    def wait_for_engines(self, name: str) -> None:
        """Waits until the node called ``name`` chooses among engines no more."""

        def chosen() -> bool:
            values = self.status[name].items()
            return not any(key.startswith("engine/") and why.startswith("choosing") for key, why in values)

        self.wait(chosen, f"the engines of {name}", ENGINES_PATIENCE)

    @contextmanager
    def serving(
        self, name: str, *parameters: str, remaps: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A perception_node called ``name``, until the end of the context."""
        command = [sys.executable, "-m", "perception_contrast.nodes.perception_node", "--ros-args"]
        command += ["-r", f"__node:={name}", *(word for one in parameters for word in ("-p", one))]
        command += [word for old, new in (remaps or {}).items() for word in ("-r", f"{old}:={new}")]
        self.status.pop(name, None)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.wait(lambda: self.status.get(name, {}).get("state") == "active", f"{name} active")
            yield process
        finally:
            process.terminate()
            process.wait(30.0)

    def close(self) -> None:
        self.context.try_shutdown()


def node_parameters(model: str, language_model: str, engine: str, short_side: int) -> tuple[str, ...]:
    """Parameters of a node with two queries, "name:=value" each."""
    return (
        f"model:={model}",
        f"language_model:={language_model}",
        f"engine:={engine}",
        f"short_side:={short_side}",
        "queries:=['mug', 'table']",
        "restore_vocabulary:=never",
    )


def measure_overhead(model: str, language_model: str, engine: str, short_side: int, rounds: int) -> Figures:
    """One image at a time through the pipeline alone and through the node, in turn: milliseconds.

    Of the node: from before an Image is published until features, masks and detections have come back.
    """
    image = photograph((480, 640))
    settings = PipelineSettings(short_side=short_side)
    alone = build(model, language_model, engine=engine, settings=settings)
    alone.set_queries([CoreQuery("mug"), CoreQuery("table")])
    alone.warm_up((480, 640))
    request, client = OutputRequest(features=True, masks=True, detections=True), BenchClient()
    arrived: Counter[int] = Counter()
    topics = {"features": FeatureMap, "masks": Image, "detections": Detection2DArray}
    times: dict[str, list[float]] = {"pipeline": [], "node": []}

    def on(message: Any) -> None:
        arrived[nanoseconds(message.header.stamp)] += 1

    for topic, kind in topics.items():
        client.node.create_subscription(kind, f"/{NODE}/{topic}", on, output_qos())
    camera = client.node.create_publisher(Image, "/image", output_qos())
    try:
        with client.serving(NODE, *node_parameters(model, language_model, engine, short_side)):
            client.wait(camera.get_subscription_count, "a reader of the camera")
            for topic in topics:
                client.wait_for_subscriber(topic)
            client.wait_for_engines(NODE)
            time.sleep(1.0)
            for number in range(1, rounds + 4):
                began = time.perf_counter()
                alone.process(Frame(image, number, CAMERA), request)
                middle = time.perf_counter()
                camera.publish(image_message(image, Header(stamp=time_message(number), frame_id=CAMERA)))
                client.wait(partial(_all_arrived, arrived, number, len(topics)), "the results of an image")
                times["pipeline"].append(1e3 * (middle - began))
                times["node"].append(1e3 * (time.perf_counter() - middle))
    finally:
        client.close()
        alone.close()
    # The first turns warm caches on both sides.
    pipeline, node = (statistics.median(times[name][3:]) for name in ("pipeline", "node"))
    return {"pipeline_ms": pipeline, "node_ms": node, "ratio": node / pipeline}


def _all_arrived(arrived: Counter[int], number: int, expected: int) -> bool:
    return arrived[number] == expected


def measure_messages(rounds: int) -> dict[str, Figures]:
    """Arrays sent as messages and turned into arrays again, against messages that are bare: milliseconds."""
    # As in every node.
    reuse_large_blocks()
    random = np.random.default_rng(0)
    values = random.standard_normal((37, 37, 384)).astype(np.float16)
    grid = FeatureGrid(values, "m", "m@1", GridToImage.of_resize((518, 518), (37, 37)), (518, 518))
    image = random.integers(0, 256, (1080, 1920, 3), np.uint8)
    header = Header(frame_id="camera")
    context = rclpy.context.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("bench_messages", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        return {
            "FeatureMap 37x37x384 float16": _compared(
                node, executor, FeatureMap, lambda: to_message(grid, header), to_numpy, rounds
            ),
            "Image 1920x1080 rgb8": _compared(
                node, executor, Image, lambda: image_message(image, header), image_array, rounds
            ),
        }
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()


def _compared(
    node: Any, executor: Any, kind: type, make: Callable[[], Any], read: Callable[[Any], Any], rounds: int
) -> Figures:
    taken: list[Any] = []
    topic = f"~/{kind.__name__.lower()}"
    publisher = node.create_publisher(kind, topic, output_qos())
    node.create_subscription(kind, topic, taken.append, output_qos())
    while not publisher.get_subscription_count():
        executor.spin_once(timeout_sec=0.1)
    bare = make()

    def sent(message: Any) -> Any:
        taken.clear()
        publisher.publish(message)
        while not taken:
            executor.spin_once(timeout_sec=0.1)
        return taken[0]

    times: dict[str, list[float]] = {"bare": [], "arrays": []}
    for _ in range(rounds + 3):
        began = time.perf_counter()
        sent(bare)
        middle = time.perf_counter()
        read(sent(make()))
        times["bare"].append(1e3 * (middle - began))
        times["arrays"].append(1e3 * (time.perf_counter() - middle))
    first, second = (statistics.median(times[name][3:]) for name in ("bare", "arrays"))
    return {"bare_ms": first, "arrays_ms": second, "ratio": second / first}


def measure_cameras(
    model: str, language_model: str, engine: str, short_side: int, seconds: float, rate: float = 10.0
) -> dict[str, Figures]:
    """Three cameras: results a second of each on one node, on one with a camera stopped, on a node each."""
    names, client = ("front", "left", "rear"), BenchClient()
    parameters = node_parameters(model, language_model, engine, short_side)
    message = image_message(photograph((480, 640)), Header())
    counts: Counter[str] = Counter()
    publishing: set[str] = set()
    publishers = {name: client.node.create_publisher(Image, f"/{name}", output_qos()) for name in names}

    def publish_images() -> None:
        while client.context.ok():
            for name in tuple(publishing):
                message.header.stamp = time_message(time.time_ns())
                publishers[name].publish(message)
            time.sleep(1.0 / rate)

    threading.Thread(target=publish_images, daemon=True).start()

    def measured(who: Sequence[str], nodes: Sequence[str]) -> Figures:
        publishing.clear()
        publishing.update(who)
        for node in nodes:
            client.wait_for_engines(node)
        time.sleep(3.0)
        counts.clear()
        began = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        found = {f"{name}_hz": counts[name] / took for name in names}
        memory = sum(float(client.status[node]["memory/resident_mb"]) for node in nodes)
        return found | {"all_hz": sum(counts.values()) / took, "memory_mb": memory}

    def listen(name: str, topic: str) -> None:
        client.node.create_subscription(
            Detection2DArray, topic, lambda _: counts.update([name]), output_qos()
        )

    try:
        for name in names:
            listen(name, f"/together/{name}/detections")
            listen(name, f"/{name}_alone/detections")
        remaps = {f"{name}/image": f"/{name}" for name in names}
        with client.serving("together", *parameters, f"cameras:=[{', '.join(names)}]", remaps=remaps):
            one = measured(names, ["together"])
            two = measured(names[:2], ["together"])
        with ExitStack() as stack:
            for name in names:
                alone = client.serving(f"{name}_alone", *parameters, remaps={"image": f"/{name}"})
                stack.enter_context(alone)
            each = measured(names, [f"{name}_alone" for name in names])
    finally:
        client.close()
    return {"one node": one, "one node, rear stopped": two, "a node each": each}


def measure_restart(model: str, language_model: str, engine: str, short_side: int) -> Figures:
    """Seconds from a start to serving: a first one, and one after kill -9, with its vocabulary back."""
    client = BenchClient()
    parameters = [
        one for one in node_parameters(model, language_model, engine, short_side) if "restore" not in one
    ]
    times = []
    try:
        for number in range(2):
            began = time.monotonic()
            with client.serving(NODE, *parameters) as process:
                times.append(time.monotonic() - began)
                if number == 0:
                    client.call(SetQueries, f"/{NODE}/set_queries", queries=[Query(label="sofa")])
                    process.kill()
                    process.wait()
                else:
                    back = client.call(GetQueries, f"/{NODE}/get_queries").queries.queries
                    if [query.label for query in back] != ["sofa"]:
                        raise PerceptionError("the vocabulary did not come back")
    finally:
        client.close()
    return {"first_start_s": times[0], "after_kill_s": times[1]}


def enter_domain(domain: int) -> None:
    """Puts this process and its children into a domain of this machine alone."""
    os.environ.update({"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"})
