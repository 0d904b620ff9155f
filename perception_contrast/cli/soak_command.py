"""`perception-contrast soak`: runs perception_node under every known fault, for as long as you like."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perception_contrast.core.cache import atomic_write

if TYPE_CHECKING:
    from perception_contrast.bench.soak.soak_run import SoakResult

_EPILOG = """\
Starts two nodes and three cameras of its own in a ROS domain of its own, sends images as fast as they go,
and every few seconds does something that a robot should survive: malformed messages of each kind, truncated
JPEGs, other encodings and sizes, engine failures, stamps that jump, subscribers that come and go, storms of
parameters, changes of the vocabulary, lifecycle transitions, a camera that freezes or goes. Each must be
reported in /diagnostics, and the next good frame must have its result. Memory must stay within 2 percent.

With --configurations one node of small random models is configured anew so many times instead: other models,
other engines, by parameters and by lifecycle transitions, with storms of malformed messages and requests
between. --output FOLDER gets its memory as memory.csv and memory.png.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast soak",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--minutes", type=float, default=1.0, help="after every fault has come once (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the order of faults (default: %(default)s)")
    add("--model", default="dinov2-s14", help="image encoder (default: %(default)s)")
    add("--language-model", default="household-lit", help="model for text, or none (default: %(default)s)")
    add("--short-side", type=int, default=56, help="of the network input in pixels (default: %(default)s)")
    add("--engine", default="torch", help="inference engine (default: %(default)s)")
    add("--configurations", type=int, default=0, metavar="N", help="memory over N new configurations")
    add("--output", type=Path, default=Path(), metavar="FOLDER", help="of its table and curve (default: .)")
    add("--json", type=Path, metavar="FILE", help="write the results")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or SoakError for what did not hold."""
    arguments = _parser().parse_args(argv)
    from perception_contrast.cli.demo.demo_graph import free_domain

    environment = {**os.environ, "ROS_DOMAIN_ID": str(free_domain())}
    environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.update({name: environment[name] for name in environment if name.startswith("ROS_")})
    if arguments.configurations:
        _run_configurations(arguments, environment)
    else:
        _run_faults(arguments, environment)
    return 0


def _run_configurations(arguments: argparse.Namespace, environment: Mapping[str, str]) -> None:
    from perception_contrast.bench.soak.configuration_run import (
        ConfigurationOptions,
        check_growth,
        growth_in_words,
        run_configurations,
    )
    from perception_contrast.bench.soak.memory_curve import MemoryReading, write_csv, write_curve

    def tell(one: MemoryReading) -> None:
        words = f"{one.number:3d} {one.model} {one.engine} by {one.how}: {one.resident_mb:.0f} MB"
        words += f", {one.allocated_mb:.1f} in use, {one.python_blocks} blocks of Python's"
        words += f", {one.threads} threads, {one.seconds:.0f} s; {one.serving}"
        print(words, flush=True)

    options = ConfigurationOptions(environment, arguments.configurations)
    readings = run_configurations(options, tell)
    title = growth_in_words(readings)
    arguments.output.mkdir(parents=True, exist_ok=True)
    write_csv(readings, arguments.output / "memory.csv")
    write_curve(readings, arguments.output / "memory.png", title)
    print(title)
    check_growth(readings)


def _run_faults(arguments: argparse.Namespace, environment: Mapping[str, str]) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from perception_contrast.bench.soak.soak_graph import default_node
    from perception_contrast.bench.soak.soak_run import Options, run_soak

    words = [f"model:={arguments.model}", f"language_model:={arguments.language_model}"]
    words += [f"short_side:={arguments.short_side}", f"engine:={arguments.engine}"]
    options = Options(
        default_node(),
        environment,
        [word for one in words for word in ("-p", one)],
        seconds=60.0 * arguments.minutes,
        seed=arguments.seed,
    )
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("loading", total=options.seconds)

        def on_fault(fault: str, so_far: SoakResult) -> None:
            description = f"{so_far.faults} faults, {so_far.frames} frames; {fault}"
            bar.update(task, completed=min(so_far.seconds, options.seconds), description=description)

        result = run_soak(options, on_fault)
    print(_summary(result))
    if arguments.json is not None:
        atomic_write(arguments.json, json.dumps(_facts(result), indent=1).encode())


def _summary(result: SoakResult) -> str:
    times = sorted(one for each in result.resumed.values() for one in each)
    lines = [
        f"survived {result.faults} faults of {len(result.resumed)} kinds in {result.seconds:.0f} s, "
        f"{result.frames} results ({result.frames / result.seconds:.1f} a second)",
        "each fault was reported in /diagnostics; the next good frame had its result after "
        f"{1e3 * times[len(times) // 2]:.0f} ms (median), {1e3 * times[-1]:.0f} ms (longest)",
    ]
    for node, readings in result.memory_mb.items():
        lines.append(
            f"node '{node}': {readings[-1]:.0f} MB, {100 * result.growth(node):+.2f} % from the first "
            f"third of the readings to the last; {result.threads[node][-1]} threads"
        )
    return "\n".join(lines)


def _facts(result: SoakResult) -> dict[str, object]:
    return {
        "seconds": result.seconds,
        "frames": result.frames,
        "resumed_s": result.resumed,
        "memory_mb": result.memory_mb,
        "threads": result.threads,
    }
