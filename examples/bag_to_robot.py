#!/usr/bin/env python3
"""Adapts an encoder to a recording and switches a running node to it.

python3 bag_to_robot.py my_recording --out kitchen --topic /camera/color/image_raw/compressed

Extracts the recording, holds its end out, adapts an encoder with LoRA, compares it with the encoder before,
exports it, plays the recording to a running perception_node and switches that node
to the new encoder. Each step is a command that is printed first; a step whose result exists is skipped.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import rclpy
from rcl_interfaces.srv import SetParameters
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter

from perception_contrast.client import ClientError, PerceptionClient

COMMAND = (sys.executable, "-m", "perception_contrast.cli.main")
COMPRESSED = "/compressed"


def run(*words: str) -> None:
    """One perception-contrast command. Raises CalledProcessError where it fails."""
    print(f"\n$ perception-contrast {shlex.join(words)}", flush=True)
    subprocess.run([*COMMAND, *words], check=True)


@contextmanager
def node(name: str, *arguments: str) -> Iterator[None]:
    """A node of this package as a process, ended by SIGINT."""
    print(f"\n$ {name} {shlex.join(arguments)}", flush=True)
    process = subprocess.Popen([sys.executable, "-m", f"perception_contrast.nodes.{name}", *arguments])
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def train_and_export(options: argparse.Namespace) -> Path:
    """Makes dataset, run and export in the output folder; returns the folder of the exported model."""
    dataset, trained, model = (options.out / part for part in ("dataset", "run", "model"))
    if not (dataset / "manifest.parquet").is_file():
        topics = [word for topic in options.topic for word in ("--topic", topic)]
        run("data", "extract", str(options.recording), "--out", str(dataset), *topics)
        run("data", "view", str(dataset))
    if not (trained / "checkpoints").is_dir():
        changes = [f"data.path={dataset}", f"output={trained}", f"name={options.name}", *options.set]
        settings = [word for change in changes for word in ("--set", change)]
        run("train", "run", "--recipe", options.recipe, *settings)
    else:
        run("train", "resume", str(trained))
    if not (model / "model.json").is_file():
        worse = ["--accept-regression"] if options.accept_regression else []
        run("train", "export", str(trained), "--to", str(model), *worse)
    return model


def base_model(model: Path) -> str:
    """Name of the model that was adapted; the default model if training started from random weights."""
    backbone = json.loads((model / "figures.json").read_text())["recipe"]["backbone"]
    return str(backbone["name"]) if backbone["pretrained"] else "dinov2-s14"


class Switch(Node):
    """Sets a parameter of perception_node."""

    def __init__(self) -> None:
        super().__init__("bag_to_robot")
        self._set = self.create_client(SetParameters, "perception_node/set_parameters")

    def to(self, model: Path) -> None:
        """Raises RuntimeError with the node's reason where it refuses."""
        if not self._set.wait_for_service(30.0):
            raise RuntimeError("perception_node does not answer")
        parameter = Parameter("model", value=str(model.resolve())).to_parameter_msg()
        future = self._set.call_async(SetParameters.Request(parameters=[parameter]))
        rclpy.spin_until_future_complete(self, future, timeout_sec=60.0)
        answer = future.result()
        if answer is None or not answer.results[0].successful:
            raise RuntimeError(f"refused: {answer.results[0].reason if answer else 'no answer'}")


def wait_for_space(perception: PerceptionClient, space: str, seconds: float) -> tuple[str, float]:
    """Waits until features are of another space than ``space``; returns it and the seconds that it took.

    Raises RuntimeError after ``seconds`` without.
    """
    began = time.monotonic()
    for features in perception.features(timeout=seconds):
        if features.grid.space != space:
            height, width, channels = features.values.shape
            print(f"features {height}x{width}x{channels} in space {features.grid.space}", flush=True)
            return features.grid.space, time.monotonic() - began
        if time.monotonic() - began > seconds:
            break
    raise RuntimeError(f"after {seconds:.0f} s features are still of space {space or 'none'}")


def serve(options: argparse.Namespace, model: Path) -> None:
    """Runs a node with the encoder before on the recording, and switches it to the new encoder."""
    topic = options.topic[0] if options.topic else topic_of(options.out / "dataset")
    transport = "compressed" if topic.endswith(COMPRESSED) else "raw"
    with ExitStack() as stack:
        values = (f"model:={base_model(model)}", "language_model:=none", f"image_transport:={transport}")
        values = (*values, f"offline:={str(options.offline).lower()}")
        parameters = [word for value in values for word in ("-p", value)]
        remap = f"image:={topic.removesuffix(COMPRESSED)}"
        stack.enter_context(node("perception_node", "--ros-args", "-r", remap, *parameters))
        played = (f"path:={options.recording}", "loop:=true")
        words = [word for value in played for word in ("-p", value)]
        stack.enter_context(node("bag_player", "--ros-args", *words))
        switch = Switch()
        perception = stack.enter_context(PerceptionClient())
        perception.wait_until_active(300.0)
        before, _ = wait_for_space(perception, "", 120.0)
        print(f"\n$ ros2 param set /perception_node model {model.resolve()}", flush=True)
        switch.to(model)
        after, seconds = wait_for_space(perception, before, 300.0)
        print(f"\nThe running node went from {before} to {after} in {seconds:.1f} s.", flush=True)
        switch.destroy_node()


def topic_of(dataset: Path) -> str:
    """The image topic that most frames of a dataset come from."""
    import pyarrow.parquet as parquet

    topics = parquet.read_table(dataset / "manifest.parquet", columns=["topic"])["topic"].to_pylist()
    return max(sorted(set(topics)), key=topics.count)


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recording", type=Path, help="rosbag2 folder, .mcap or .db3")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the dataset, the run and the model"
    )
    parser.add_argument("--topic", action="append", default=[], help="image topic (default: all)")
    parser.add_argument("--recipe", default="dinov2_lora", help="see `perception-contrast train recipes`")
    parser.add_argument("--name", default="adapted", help="the new model's id")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    parser.add_argument(
        "--accept-regression", action="store_true", help="export an encoder that got worse too"
    )
    parser.add_argument("--offline", action="store_true", help="the node never uses a network")
    parser.add_argument("--no-serve", action="store_true", help="end with the export")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    options = arguments(words)
    try:
        model = train_and_export(options)
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    if options.no_serve:
        return 0
    rclpy.init()
    try:
        serve(options, model)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 130
    except (ClientError, RuntimeError) as error:
        print(f"bag_to_robot: {error}", file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
