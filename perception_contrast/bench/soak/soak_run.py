"""Two nodes, three cameras, faults without end: what must hold is asserted after each of them."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from perception_contrast.bench.soak.soak_faults import Fault, faults
from perception_contrast.bench.soak.soak_graph import NODES, Graph, SoakError

LEAST_GROWTH_MB = 4.0  # what a page here or there comes to; it matters for small processes alone


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
class Survived:
    """What was lived through. resumed: seconds to the result of the first good frame, by fault."""

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


def soak(options: Options, tell: Callable[[str, Survived], None] = lambda fault, so_far: None) -> Survived:
    """Injects every fault once, in an order of the seed, then again for ``seconds``.

    The readings of memory begin after the first round, when every path has been walked once. tell:
    called before each fault. Raises SoakError for whatever does not hold.
    """
    order, survived = random.Random(options.seed), Survived()
    graph = Graph(options.node, options.arguments, options.environment)
    try:
        graph.ready(options.load_seconds)
        start = began = time.monotonic()
        first = True
        while first or time.monotonic() - began < options.seconds:
            round_ = faults()
            order.shuffle(round_)
            for fault in round_:
                if not first and time.monotonic() - began >= options.seconds:
                    break
                tell(fault.name, survived)
                _live_through(graph, fault, options.between, survived)
                survived.seconds, survived.frames = time.monotonic() - start, graph.frames()
                if not first:
                    _read(graph, survived)
            if first:
                began, first = time.monotonic(), False
        _judge(survived, options.growth)
    finally:
        graph.close()
    return survived


def _live_through(graph: Graph, fault: Fault, between: float, survived: Survived) -> None:
    try:
        graph.tell("stream")
        time.sleep(between)
        fault.inject(graph)
        graph.tell("pause")
        # What is still on its way belongs to the stream.
        time.sleep(0.1)
        seconds = graph.resumes(fault.camera)
    except SoakError as error:
        raise SoakError(f"{fault.name}: {error}") from error
    survived.resumed.setdefault(fault.name, []).append(seconds)


def _read(graph: Graph, survived: Survived) -> None:
    for name in NODES:
        values = graph.status("", name)
        survived.memory_mb.setdefault(name, []).append(float(values["memory/resident_mb"]))
        survived.threads.setdefault(name, []).append(int(values["threads"]))


def _judge(survived: Survived, growth: float) -> None:
    for name, readings in survived.memory_mb.items():
        if len(readings) < 3:
            continue
        first, last = _thirds(readings)
        if last > first * (1 + growth) + LEAST_GROWTH_MB:
            raise SoakError(f"memory of node '{name}' grew from {first:.0f} to {last:.0f} MB")
        threads = survived.threads[name]
        if threads[-1] < threads[0]:
            raise SoakError(f"node '{name}' has {threads[-1]} threads of {threads[0]} left")


def _thirds(readings: Sequence[float]) -> tuple[float, float]:
    third = max(len(readings) // 3, 1)
    return statistics.median(readings[:third]), statistics.median(readings[-third:])
