"""Options of commands whose work may run on a Ray cluster."""

from __future__ import annotations

import argparse

from perception_contrast_training.fleet.map_items import Where


def add_ray(group: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Adds ``--ray``, ``--ray-cpus`` and ``--ray-gpus``."""
    add = group.add_argument
    add(
        "--ray",
        default="",
        metavar="ADDRESS",
        help="run on a Ray cluster: its address, auto for the one that RAY_ADDRESS names or that runs here, "
        "local to start one on this machine",
    )
    add("--ray-cpus", type=float, default=1.0, metavar="X", help="processors for a task (default: 1)")
    add("--ray-gpus", type=float, default=0.0, metavar="X", help="GPUs for a task, 0.5 for half of one")


def where_of(arguments: argparse.Namespace) -> Where:
    """Where the work of a command with these options, and ``--workers`` if it has that, runs."""
    return Where(getattr(arguments, "workers", 1), arguments.ray, arguments.ray_cpus, arguments.ray_gpus)
