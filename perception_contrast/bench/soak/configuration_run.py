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
from perception_contrast_msgs.msg import RegionFeatures
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from perception_contrast.bench.soak.memory_curve import MemoryReading, Slope, slope
from perception_contrast.bench.soak.small_pairs import NAMES
from perception_contrast.bench.soak.soak_faults import Fault, storms
from perception_contrast.bench.soak.soak_graph import NODES, SoakError, SoakGraph

ENGINES = (
    ("torch", "fp32"),
    ("torch", "bf16"),
    ("onnxruntime", "int8"),
    ("openvino", "fp32"),
    ("auto", "auto"),
)
ROUNDS = 3  # of all kinds; of fewer a step is not told from a slope
# Topics beside the detections that the node is asked for.
OUTPUTS = {"instances": Image, "region_features": RegionFeatures}
PATIENCE = 180.0


@dataclass(frozen=True)
class Allowance:
    """How much all configurations together may add to a field.

    Attributes:
        share: of ``base`` in the first reading.
        base: a field.
        stepped: as ``slope`` takes it.
        settles: growth must go on after the first round, which fills gaps between blocks that stay.
    """

    share: float
    base: str
    stepped: bool = False
    settles: bool = False


ALLOWANCES = {
    "resident_mb": Allowance(0.05, "resident_mb", settles=True),
    "allocated_mb": Allowance(0.005, "resident_mb", stepped=True),
    "python_blocks": Allowance(0.002, "python_blocks", stepped=True),
}


@dataclass(frozen=True)
class Growth:
    """What a configuration adds to a field, and the most that it may."""

    slope: Slope
    most: float

    @property
    def is_leak(self) -> bool:
        """Whether it is certainly more."""
        return self.slope.least > self.most


@dataclass(frozen=True)
class ConfigurationOptions:
    """What is run.

    Attributes:
        environment: of the children; its PERCEPTION_CONTRAST_CACHE is replaced by a folder that is removed.
        configurations: how many count. Before them each engine comes with each model once.
        engines: kinds and precisions, an odd number.
        storms: how many follow each configuration that counts; they take turns. None for all, as before
            those that count: buffers of messages grow until each has held the largest.
        node: command that starts the node.
    """

    environment: Mapping[str, str]
    configurations: int = 30
    engines: Sequence[tuple[str, str]] = ENGINES
    storms: int | None = None
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
    if options.configurations < ROUNDS * options.kinds:
        raise SoakError(
            f"{options.configurations} configurations are too few: memory is compared over {ROUNDS} rounds "
            f"of {options.kinds}; ask for {ROUNDS * options.kinds} or more"
        )
    with TemporaryDirectory(prefix="perception_contrast_") as folder:
        environment = {**options.environment, "PERCEPTION_CONTRAST_CACHE": folder}
        arguments = [f"model:={NAMES[0]}", "engine:=torch", "short_side:=64"]
        words = [word for one in arguments for word in ("-p", one)]
        graph = SoakGraph(options.node, words, environment, ["raw"], OUTPUTS)
        readings = []
        try:
            graph.wait_until_ready(PATIENCE)
            for number in range(-options.kinds, options.configurations):
                readings.append(_configure(graph, options, number, Path(folder)))
                on_reading(readings[-1])
        finally:
            graph.close()
    return readings


def growth(readings: Sequence[MemoryReading]) -> dict[str, Growth]:
    """How each field of ALLOWANCES grows.

    Raises:
        ValueError: no kind of models and engines was read twice.
    """
    counted = [one for one in readings if one.number >= 0]
    return {field: _growth(counted, field, allowed) for field, allowed in ALLOWANCES.items()}


def _growth(counted: Sequence[MemoryReading], field: str, allowed: Allowance) -> Growth:
    slopes = [slope(counted, field, stepped=allowed.stepped)]
    if allowed.settles:
        slopes.append(slope(counted[len(counted) // ROUNDS :], field, stepped=allowed.stepped))
    most = allowed.share * float(getattr(counted[0], allowed.base)) / len(counted)
    return Growth(min(slopes, key=lambda one: one.least), most)


def growth_in_words(readings: Sequence[MemoryReading]) -> str:
    """As ``growth``, for people."""
    told = [
        f"{field} {one.slope.value:+.3f} ± {one.slope.error:.3f}, at most {one.most:.3f}"
        for field, one in growth(readings).items()
    ]
    return f"a configuration adds: {'; '.join(told)}"


def check_growth(readings: Sequence[MemoryReading]) -> None:
    """Raises SoakError where memory certainly grows with the configurations."""
    leaks = [field for field, one in growth(readings).items() if one.is_leak]
    if leaks:
        raise SoakError(f"memory grows, {', '.join(leaks)}; {growth_in_words(readings)}")


def _configure(graph: SoakGraph, options: ConfigurationOptions, number: int, folder: Path) -> MemoryReading:
    index = number + options.kinds
    engine, precision = options.engines[index % len(options.engines)]
    # The number of engines is odd, so each meets each model. What takes most memory comes before what counts.
    model, how = NAMES[index % len(NAMES)], ("parameters", "lifecycle")[index // options.kinds % 2]
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
    for storm in _storms(options, number):
        storm.inject(graph)
    graph.command_camera("pause")
    graph.seconds_to_result("front")
    seconds = time.monotonic() - began
    memory = _memory(graph, folder / "memory")
    threads = int(graph.status()["threads"])
    serving = ", ".join(one.partition(":")[0] for one in _engines(graph))
    return MemoryReading(
        number, model, f"{engine} {precision}", serving, how, *memory, threads, round(seconds, 1)
    )


def _storms(options: ConfigurationOptions, number: int) -> list[Fault]:
    every, count = storms(), options.storms
    if count is None or number < 0:
        return every
    return [every[(number * count + one) % len(every)] for one in range(count)]


def _set(graph: SoakGraph, **values: str) -> None:
    parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
    service = f"{NODES['raw']}/set_parameters_atomically"
    called = graph.call(SetParametersAtomically, service, patience=PATIENCE, parameters=parameters)
    result = called.result
    if not result.successful:
        raise SoakError(f"parameters {values} were refused: {result.reason}")


def _transitions(graph: SoakGraph, *transitions: int) -> None:
    for transition in transitions:
        service = f"{NODES['raw']}/change_state"
        # To configure is to load models, and to export them where an engine needs that.
        changed = graph.call(ChangeState, service, patience=PATIENCE, transition=Transition(id=transition))
        if not changed.success:
            raise SoakError(f"transition {transition} was not made")


def _engines(graph: SoakGraph) -> list[str]:
    """What diagnostics say of the engine of each encoder."""
    told = graph.status().items()
    return [value for key, value in told if key.startswith("engine/") and key != "engine/warnings"]


def _serves(graph: SoakGraph, model: str, engine: str, precision: str) -> bool:
    """Whether the node's diagnostics say so, and no engine is looked for any more."""
    wanted = "" if engine == "auto" else f"{engine} {precision}"
    return graph.status().get("space/spatial", "").endswith(f"@{model}") and all(
        one.startswith(wanted) and not one.startswith("choosing") and "takes over" not in one
        for one in _engines(graph)
    )


def _memory(graph: SoakGraph, path: Path) -> tuple[float, float, int]:
    """As the node writes it: resident and allocated MB, Python's blocks."""
    path.unlink(missing_ok=True)
    graph.command_node("raw", f"memory {path}")
    graph.wait(path.exists, "the node's memory")
    resident, allocated, blocks = path.read_text(encoding="utf-8").split()
    return float(resident), float(allocated), int(blocks)
