"""The soak test: two nodes, three cameras, one fault after another, and checks after each."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from perception_contrast.bench.soak.soak_faults import Fault, faults
from perception_contrast.bench.soak.soak_graph import NODES, SoakError, SoakGraph

MIN_GROWTH_MB = 4.0  # what a page here or there comes to; it matters for small processes alone


@dataclass(frozen=True)
class Options:
    """node: command that starts a node, ROS arguments are added. growth: share of memory it may gain."""

    node: Sequence[str]
    environment: Mapping[str, str]
    arguments: Sequence[str] = ()
    seconds: float = 60.0
    seed: int = 0
    growth: float = 0.02
    load_seconds: float = 120.0
    between: float = 0.2


@dataclass
class SoakResult:
    """Results of a run.

    Attributes:
        resumed: Fault to the seconds until the result of the next good frame.
        memory_mb: Node to its readings; ``threads`` likewise.
    """

    seconds: float = 0.0
    frames: int = 0
    resumed: dict[str, list[float]] = field(default_factory=dict)
    memory_mb: dict[str, list[float]] = field(default_factory=dict)
    threads: dict[str, list[int]] = field(default_factory=dict)

    @property
    def faults(self) -> int:
        return sum(map(len, self.resumed.values()))

    def growth(self, node: str) -> float:
        """Share by which the last third of the memory readings lies above the first third, medians."""
        first, last = _thirds(self.memory_mb[node])
        return last / first - 1.0


def run_soak(
    options: Options, on_fault: Callable[[str, SoakResult], None] = lambda fault, so_far: None
) -> SoakResult:
    """Injects every fault once, in an order of the seed, then again for ``seconds``.

    Memory is recorded after the first round, when every path has been executed once. on_fault:
    called before each fault. Raises SoakError for whatever does not hold.
    """
    order, result = random.Random(options.seed), SoakResult()
    graph = SoakGraph(options.node, options.arguments, options.environment)
    try:
        graph.wait_until_ready(options.load_seconds)
        start = began = time.monotonic()
        first = True
        while first or time.monotonic() - began < options.seconds:
            round_ = faults()
            order.shuffle(round_)
            for fault in round_:
                if not first and time.monotonic() - began >= options.seconds:
                    break
                on_fault(fault.name, result)
                _inject(graph, fault, options.between, result)
                result.seconds, result.frames = time.monotonic() - start, graph.frames()
                if not first:
                    _record_memory(graph, result)
            if first:
                began, first = time.monotonic(), False
        _check_result(result, options.growth)
    finally:
        graph.close()
    return result


def _inject(graph: SoakGraph, fault: Fault, between: float, result: SoakResult) -> None:
    try:
        graph.command_camera("stream")
        time.sleep(between)
        fault.inject(graph)
        graph.command_camera("pause")
        # What is still on its way belongs to the stream.
        time.sleep(0.1)
        seconds = graph.seconds_to_result(fault.camera)
    except SoakError as error:
        raise SoakError(f"{fault.name}: {error}") from error
    result.resumed.setdefault(fault.name, []).append(seconds)


def _record_memory(graph: SoakGraph, result: SoakResult) -> None:
    for name in NODES:
        values = graph.status("", name)
        result.memory_mb.setdefault(name, []).append(float(values["memory/resident_mb"]))
        result.threads.setdefault(name, []).append(int(values["threads"]))


def _check_result(result: SoakResult, growth: float) -> None:
    for name, readings in result.memory_mb.items():
        if len(readings) < 3:
            continue
        first, last = _thirds(readings)
        if last > first * (1 + growth) + MIN_GROWTH_MB:
            raise SoakError(f"memory of node '{name}' grew from {first:.0f} to {last:.0f} MB")
        threads = result.threads[name]
        if threads[-1] < threads[0]:
            raise SoakError(f"node '{name}' has {threads[-1]} threads of {threads[0]} left")


def _thirds(readings: Sequence[float]) -> tuple[float, float]:
    third = max(len(readings) // 3, 1)
    return statistics.median(readings[:third]), statistics.median(readings[-third:])
