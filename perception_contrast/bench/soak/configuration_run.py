"""Memory over configurations: one node changes models and engines again and again, with storms between."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter

from perception_contrast.bench.soak.memory_curve import MemoryReading, slope
from perception_contrast.bench.soak.small_pairs import NAMES
from perception_contrast.bench.soak.soak_faults import storms
from perception_contrast.bench.soak.soak_graph import NODES, SoakError, SoakGraph

ENGINES = (
    ("torch", "fp32"),
    ("torch", "bf16"),
    ("onnxruntime", "int8"),
    ("openvino", "fp32"),
    ("auto", "auto"),
)
# Shares of the resident memory that all configurations together may add. Fragments move what is resident by
# tens of megabytes; what is in use moves little.
GROWTH = {"resident_mb": 0.05, "allocated_mb": 0.005}
PATIENCE = 180.0


@dataclass(frozen=True)
class ConfigurationOptions:
    """What is run.

    Attributes:
        environment: of the children; its PERCEPTION_CONTRAST_CACHE is replaced by a folder that is removed.
        configurations: how many count. Before them each engine comes with each model once.
        engines: kinds and precisions, an odd number.
        node: command that starts the node.
    """

    environment: Mapping[str, str]
    configurations: int = 30
    engines: Sequence[tuple[str, str]] = ENGINES
    node: Sequence[str] = (sys.executable, "-m", "perception_contrast.bench.soak.configuration_node")

    @property
    def kinds(self) -> int:
        """Pairs of an engine and a model."""
        return len(self.engines) * len(NAMES)


def run_configurations(
    options: ConfigurationOptions, on_reading: Callable[[MemoryReading], None] = lambda reading: None
) -> list[MemoryReading]:
    """Configures a node anew, storms it and reads its memory, again and again.

    Args:
        options: what is run.
        on_reading: called after each.

    Raises:
        SoakError: a configuration did not serve, the node ended, or there are too few configurations.
    """
    if options.configurations <= options.kinds:
        raise SoakError(f"memory is compared over more than {options.kinds} configurations; ask for more")
    with TemporaryDirectory(prefix="perception_contrast_") as folder:
        environment = {**options.environment, "PERCEPTION_CONTRAST_CACHE": folder}
        arguments = [f"model:={NAMES[0]}", "engine:=torch", "short_side:=64"]
        words = [word for one in arguments for word in ("-p", one)]
        graph = SoakGraph(options.node, words, environment, ["raw"])
        readings = []
        try:
            graph.wait_until_ready(PATIENCE)
            for number in range(-options.kinds, options.configurations):
                readings.append(_configure(graph, options, number, Path(folder)))
                on_reading(readings[-1])
        finally:
            graph.close()
    return readings


def growth(readings: Sequence[MemoryReading]) -> dict[str, tuple[float, float]]:
    """Of each kind of memory the MB that a configuration adds and the most that it may.

    Raises:
        ValueError: no pair of a model and an engine was read twice.
    """
    counted = [one for one in readings if one.number >= 0]
    base = counted[0].resident_mb / len(counted) if counted else 0.0
    return {name: (slope(counted, name), share * base) for name, share in GROWTH.items()}


def growth_in_words(readings: Sequence[MemoryReading]) -> str:
    """As ``growth``, for people."""
    told = growth(readings).items()
    return "; ".join(
        f"{name} {found:+.3f} MB a configuration, at most {most:.3f}" for name, (found, most) in told
    )


def check_growth(readings: Sequence[MemoryReading]) -> None:
    """Raises SoakError where memory grows with the configurations."""
    if any(found > most for found, most in growth(readings).values()):
        raise SoakError(f"memory grows: {growth_in_words(readings)}")


def _configure(graph: SoakGraph, options: ConfigurationOptions, number: int, folder: Path) -> MemoryReading:
    index = number + options.kinds
    engine, precision = options.engines[index % len(options.engines)]
    # The number of engines is odd, so each meets each model.
    model, how = NAMES[index % len(NAMES)], ("lifecycle", "parameters")[index // options.kinds % 2]
    # Exports leave more behind than files that are there already.
    shutil.rmtree(folder / "engines", ignore_errors=True)
    began = time.monotonic()
    if how == "lifecycle":
        _transitions(graph, Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP)
    _set(graph, model=model, engine=engine, precision=precision)
    if how == "lifecycle":
        _transitions(graph, Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE)
    graph.command_camera("stream")
    graph.wait(lambda: _serves(graph, model, engine, precision), f"{model} on {engine} {precision}", PATIENCE)
    for storm in storms():
        storm.inject(graph)
    graph.command_camera("pause")
    graph.seconds_to_result("front")
    seconds = time.monotonic() - began
    resident, allocated = _memory_mb(graph, folder / "memory")
    threads = int(graph.status()["threads"])
    return MemoryReading(
        number, model, f"{engine} {precision}", how, resident, allocated, threads, round(seconds, 1)
    )


def _set(graph: SoakGraph, **values: str) -> None:
    parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
    service = f"{NODES['raw']}/set_parameters_atomically"
    result = graph.call(SetParametersAtomically, service, parameters=parameters).result
    if not result.successful:
        raise SoakError(f"parameters {values} were refused: {result.reason}")


def _transitions(graph: SoakGraph, *transitions: int) -> None:
    for transition in transitions:
        service = f"{NODES['raw']}/change_state"
        if not graph.call(ChangeState, service, transition=Transition(id=transition)).success:
            raise SoakError(f"transition {transition} was not made")


def _serves(graph: SoakGraph, model: str, engine: str, precision: str) -> bool:
    """Whether the node's diagnostics say so, and no engine is looked for any more."""
    status = graph.status()
    told = [value for key, value in status.items() if key.startswith("engine/") and key != "engine/warnings"]
    wanted = "" if engine == "auto" else f"{engine} {precision}"
    return status.get("space/spatial", "").endswith(f"@{model}") and all(
        one.startswith(wanted) and not one.startswith("choosing") and "takes over" not in one for one in told
    )


def _memory_mb(graph: SoakGraph, path: Path) -> tuple[float, float]:
    path.unlink(missing_ok=True)
    graph.command_node("raw", f"memory {path}")
    graph.wait(path.exists, "the node's memory")
    resident, allocated = path.read_text(encoding="utf-8").split()
    return float(resident), float(allocated)
