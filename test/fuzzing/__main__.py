"""The command: ``make fuzz ARGS="--minutes 30"``."""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from fuzzing.findings import replayed, target_of
from fuzzing.registry import TARGETS, Entry, have_ros
from fuzzing.run import Plan, Run
from fuzzing.supervisor import WorkerProcess
from fuzzing.tally import table


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the fuzzer; 1 if something was found, else 0."""
    options = _parser().parse_args(arguments)
    _isolate_ros()
    if options.list:
        for name, entry in TARGETS.items():
            print(f"{name:20} {entry.about}{' (needs ROS)' if entry.ros else ''}")
        return 0
    if options.replay:
        return _replay(options.replay, options.target)
    plan = Plan(
        targets=_targets(options.targets),
        seconds=0.0 if options.inputs else options.minutes * 60.0,
        inputs=options.inputs,
        seed=options.seed,
        workers=options.workers,
        folder=options.findings,
    )
    run = Run(plan)
    run.go()
    print(table(run.tallies))
    for (target, place), count in run.findings.counts.items():
        print(f"{target}: {place}: {count} time(s); {run.findings.files[target, place]}")
    return 1 if run.findings.files else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make fuzz ARGS=", description="Mutated inputs for everything that reads."
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="how long to run (2)")
    parser.add_argument("--inputs", type=int, default=0, help="inputs of each target, instead of a time")
    parser.add_argument("--targets", default="", help="names with commas between them (all)")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is random (1)")
    parser.add_argument("--workers", type=int, default=1, help="processes (1)")
    parser.add_argument(
        "--findings", type=Path, default=Path("runs/fuzz"), help="folder for inputs of findings"
    )
    parser.add_argument("--replay", type=Path, nargs="+", help="run these files once")
    parser.add_argument("--target", default="", help="of --replay, where the folder's name does not tell")
    parser.add_argument("--list", action="store_true", help="the targets")
    return parser


def _targets(text: str) -> dict[str, Entry]:
    names = tuple(filter(None, text.split(","))) or tuple(TARGETS)
    for name in names:
        if name not in TARGETS:
            raise SystemExit(f"there is no target '{name}'; there are {', '.join(TARGETS)}")
    without = tuple(name for name in names if have_ros() or not TARGETS[name].ros)
    if len(without) < len(names):
        print(f"left out, as ROS is not here: {', '.join(set(names) - set(without))}", file=sys.stderr)
    return {name: TARGETS[name] for name in without}


def _replay(files: Sequence[Path], target: str) -> int:
    worker, status = WorkerProcess(), 0
    try:
        for path in files:
            kinds, findings = replayed(target or target_of(path), [path], worker)
            for finding in findings:
                status = 1
                print(f"{path}: {finding.place}\n{finding.detail}")
            if not findings:
                print(f"{path}: {', '.join(kinds)}")
    finally:
        worker.close()
    return status


def _isolate_ros() -> None:
    """Nothing of a run is to be seen by robots."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randint(1, 100)))


if __name__ == "__main__":
    sys.exit(main())
