"""`perception-contrast bench-node`: overhead, memory, idle cost, restarts and deadlines of the ROS node."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perception_contrast.core.cache import atomic_write

PARTS = ("overhead", "messages", "cameras", "restart", "deadline", "memory", "idle")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="perception-contrast bench-node", description=__doc__)
    add = parser.add_argument
    add("parts", nargs="*", choices=[[], *PARTS], metavar="PART", help=f"{', '.join(PARTS)}; all if none")
    add("--model", default="dinov2-s14", help="image encoder (default: %(default)s)")
    add("--language-model", default="household-lit", help="model for text, or none (default: %(default)s)")
    add("--engine", default="torch", help="inference engine (default: %(default)s)")
    add("--short-side", type=int, default=224, help="of the network input in pixels (default: %(default)s)")
    add("--rounds", type=int, default=30, help="of alternating measurements (default: %(default)s)")
    add(
        "--seconds",
        type=float,
        default=15.0,
        help="of each reading of cameras, deadline and idle (default: %(default)s)",
    )
    add("--rate", type=float, default=2.0, help="target_rate of deadline in Hz (default: %(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the figures")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    from rich.console import Console

    from perception_contrast.bench import node_overhead as node
    from perception_contrast.bench import node_resources as resources
    from perception_contrast.bench.deadline_bench import measure_deadline
    from perception_contrast.cli.demo.demo_graph import free_domain

    node.enter_domain(free_domain())
    models = (arguments.model, arguments.language_model, arguments.engine, arguments.short_side)
    parameters = node.node_parameters(*models)
    measure: dict[str, Callable[[], Mapping[str, Any]]] = {
        "overhead": lambda: node.measure_overhead(*models, arguments.rounds),
        "messages": lambda: node.measure_messages(arguments.rounds),
        "cameras": lambda: node.measure_cameras(*models, arguments.seconds),
        "restart": lambda: node.measure_restart(*models),
        "deadline": lambda: measure_deadline(*models, arguments.seconds, arguments.rate),
        "memory": lambda: resources.measure_memory(parameters),
        "idle": lambda: resources.measure_idle(parameters, arguments.seconds),
    }
    console = Console(stderr=True)
    figures: dict[str, Mapping[str, Any]] = {}
    for part in arguments.parts or PARTS:
        with console.status(f"measuring: {part}"):
            figures[part] = measure[part]()
        print(f"{part}: {_line(figures[part])}")
    if arguments.json is not None:
        atomic_write(arguments.json, json.dumps(figures, indent=1).encode())
    return 0


def _line(figures: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{name}: {_line(value)}" if isinstance(value, Mapping) else f"{name} {value:.2f}"
        for name, value in figures.items()
    )
