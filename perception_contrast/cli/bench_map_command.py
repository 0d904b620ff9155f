"""`perception-contrast bench-map`: what a frame, a voxel and a query of the 3D map cost at several sizes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from perception_contrast.cli.argument_types import positive_int
from perception_contrast.core.cache import atomic_write


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="perception-contrast bench-map", description=__doc__)
    add = parser.add_argument
    add("--sizes", type=positive_int, nargs="+", metavar="N", help="voxels (default: 10000 100000 1000000)")
    add("--rounds", type=positive_int, default=20, help="frames of each kind and size (default: %(default)s)")
    add("--channels", type=positive_int, default=256, help="of a vector (default: %(default)s)")
    add("--no-surface", action="store_true", help="skip the surface, which needs Open3D")
    add("--json", type=Path, metavar="FILE", help="write the figures")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    from rich.console import Console

    from perception_contrast.bench.mapping.map_bench import SIZES, MapBenchOptions, in_words, measure_map

    options = MapBenchOptions(
        sorted(arguments.sizes or SIZES), arguments.rounds, arguments.channels, not arguments.no_surface
    )
    with Console(stderr=True).status("measuring") as status:
        report = measure_map(options, lambda text: status.update(f"measuring: {text}"))
    print(in_words(report))
    if arguments.json is not None:
        atomic_write(arguments.json, json.dumps(report, indent=1).encode())
    return 0
