"""Which encoders can be compared here, and fetching the weights of one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from perception_contrast.core.errors import ModelError
from perception_contrast.models.custom_models import custom_model_names
from perception_contrast.models.folder_models import CARD
from perception_contrast.models.registry import LIT_TOWER, MINILM, MODELS, model_spec
from perception_contrast.models.specs import ModelSpec
from perception_contrast.models.weights import weights_file
from perception_contrast_studio.workers.worker_process import Report

RANDOM = "random:"
# Untrained networks, to see what an architecture shows before it has learned anything.
UNTRAINED = ("dinov2-s14", "clip-vit-b16")
_PERCENT = re.compile(r"(\d+) %")


class EncoderEntry(TypedDict):
    """name: as ``encoder_adapter`` takes it. here: whether its weights are on this machine."""

    name: str
    title: str
    description: str
    licence: str
    warning: str
    millions: float
    here: bool
    words: bool


def list_encoders(report: Report, folders: Iterable[str]) -> list[EncoderEntry]:
    """All encoders that can be named, those whose weights are here first.

    Args:
        report: Takes the progress.
        folders: Where exported models are looked for.

    Returns:
        An entry for each.
    """
    report(0.0, "looking for weights on this machine")
    found = _of_registry()
    for name in custom_model_names():
        found.append(_entry(name, model_spec(name)))
    found += [entry for folder in folders for entry in _exported(Path(folder))]
    found += [_untrained(model_spec(name)) for name in UNTRAINED]
    return sorted(found, key=lambda one: not one["here"])


def registry_encoders(report: Report) -> list[EncoderEntry]:
    """As ``list_encoders``, those of the registry alone."""
    return sorted(_of_registry(), key=lambda one: not one["here"])


def fetch_encoder(report: Report, name: str) -> None:
    """Downloads the weights of an encoder of the list; one that broke off is continued.

    Raises:
        ModelError: They cannot be had.
    """

    def tell(line: str) -> None:
        percent = _PERCENT.search(line)
        report(int(percent.group(1)) / 100 if percent else 0.0, line)

    for spec in _parts(model_spec(name)):
        report(0.0, f"fetching {spec.name}")
        weights_file(spec, progress=tell)


def _of_registry() -> list[EncoderEntry]:
    return [_entry(spec.name, spec) for spec in MODELS.values() if spec.family != "text"]


def _entry(name: str, spec: ModelSpec, title: str = "") -> EncoderEntry:
    return EncoderEntry(
        name=name,
        title=title or name,
        description=spec.description,
        licence=spec.licence,
        warning=spec.warning,
        millions=spec.millions,
        here=is_here(spec),
        words=spec.knows_words,
    )


def _untrained(spec: ModelSpec) -> EncoderEntry:
    entry = _entry(RANDOM + spec.name, spec, f"{spec.name}, untrained")
    return EncoderEntry(
        **{**entry, "here": True, "warning": "", "description": f"{spec.description}, random weights"}
    )


def _exported(folder: Path) -> list[EncoderEntry]:
    """Models of ``train export`` in a folder, in those within it, and in theirs."""
    found = []
    for depth in ("", "*/", "*/*/"):
        for card in sorted(folder.glob(f"{depth}{CARD}")):
            try:
                spec = model_spec(str(card.parent))
            except ModelError:
                continue
            found.append(_entry(str(card.parent), spec, f"{spec.name} (exported)"))
    return found


def is_here(spec: ModelSpec) -> bool:
    """Whether all weights that an encoder is made of are on this machine."""
    try:
        for part in _parts(spec):
            weights_file(part, offline=True)
    except ModelError:
        return False
    return True


def _parts(spec: ModelSpec) -> tuple[ModelSpec, ...]:
    """The models whose weights it is made of."""
    if spec.family == "lit":
        return (model_spec(LIT_TOWER), MINILM)
    if spec.words is not None and spec.words.tower == "minilm":
        return (spec, MINILM)
    return (spec, model_spec(spec.companion)) if spec.companion else (spec,)
