"""Seven ways in which encoders learn, compared, with the user's own runs of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import yaml
from nicegui import run, ui

from perception_contrast_studio.server.studio_page import Visit

RECIPE = "recipe.yaml"
DOCUMENT = "docs/learning_methods.md"
MOST_RUNS = 4


@dataclass(frozen=True)
class LearningMethod:
    """A way to learn.

    Attributes:
        name: Of the paper.
        method: In recipes.
        learns_from: What supervises it.
        negatives: Whether it needs pairs that do not belong together.
        texts: Which ones it needs.
        teacher: Whether a slow copy of the network teaches it.
        batch: Whether the size of the batch matters.
        good_for: What its features are good for.
        recipes: Shipped ones.
        source: Authors and year.
    """

    name: str
    method: str
    learns_from: str
    negatives: str
    texts: str
    teacher: str
    batch: str
    good_for: str
    recipes: tuple[str, ...]
    source: str


_OWN = ("{}_scratch", "{}_adapt", "{}_lora")


def _recipes(method: str) -> tuple[str, ...]:
    return tuple(form.format(method) for form in _OWN)


METHODS = (
    LearningMethod(
        "CLIP", "clip", "images with captions: which text of the batch belongs to which image",
        "yes: the batch's other captions", "captions", "no", "strong: a larger batch has harder negatives",
        "words: naming, search by text, zero-shot classes; cells are coarse in space",
        (*_recipes("clip"), "pair_adapt", "pair_lora"), "Radford et al., 2021",
    ),
    LearningMethod(
        "SigLIP", "siglip", "images with captions: for each pair alone, whether it matches",
        "yes: the batch's other captions, each judged by itself", "captions", "no",
        "weaker than CLIP's: no softmax over the batch",
        "words, as CLIP, also from smaller batches; a probability for each text by itself",
        _recipes("siglip"), "Zhai et al., 2023",
    ),
    LearningMethod(
        "SimCLR", "simclr", "two views of an image against all other images of the batch",
        "yes: the batch's other images", "none", "no", "strong: it lives on many negatives",
        "whole images: kNN and linear classes; frames of one robot are often false negatives",
        _recipes("simclr"), "Chen et al., 2020",
    ),
    LearningMethod(
        "BYOL", "byol", "one view predicts the output of a running average of the network for the other view",
        "no", "none", "yes: a running average of itself", "weak, but it needs batch statistics of some size",
        "whole images without the trouble of false negatives",
        _recipes("byol"), "Grill et al., 2020",
    ),
    LearningMethod(
        "DINO", "dino", "small crops predict the output of that average for the whole image, by prototypes",
        "no", "none", "yes: a running average of itself", "weak; centring and sharpening prevent collapse",
        "kNN, and attention that finds objects by itself; parts that correspond",
        _recipes("dino"), "Caron et al., 2021",
    ),
    LearningMethod(
        "DINOv2", "dinov2", "as DINO; masked cells predict the average's too (iBOT), vectors spread (KoLeo)",
        "no", "none", "yes: a running average of itself", "middling: KoLeo and Sinkhorn look at the batch",
        "cells: segmentation, depth, correspondence, tracking; kNN too",
        _recipes("dinov2"), "Oquab et al., 2023",
    ),
    LearningMethod(
        "MAE", "mae", "painting in the three quarters of an image that are hidden",
        "no", "none", "no", "none: each image is a task of its own",
        "a start for fine-tuning; its frozen features suit kNN and clustering less",
        _recipes("mae"), "He et al., 2022",
    ),
)  # fmt: skip


def runs_by_method(folders: Iterable[Path]) -> dict[str, list[Path]]:
    """Run folders by the method of their recipe; one that cannot be read is left out."""
    found: dict[str, list[Path]] = {}
    for folder in folders:
        for depth in ("", "*/", "*/*/"):
            for recipe in sorted(folder.glob(depth + RECIPE)):
                method = _method_of(recipe)
                if method and recipe.parent not in found.setdefault(method, []):
                    found[method].append(recipe.parent)
    return found


def _method_of(recipe: Path) -> str:
    try:
        stored = yaml.safe_load(recipe.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return ""
    method = stored.get("method") if isinstance(stored, dict) else None
    return method if isinstance(method, str) else ""


async def method_table(visit: Visit) -> None:
    """The table."""
    runs = await run.io_bound(runs_by_method, visit.studio.folders.runs)
    heads = ("Method", "Learns from", "Negatives", "Texts", "Slow teacher", "Batch size matters",
             "Good for", "Recipes and your runs")  # fmt: skip
    area = ui.element("div").style("overflow-x: auto").classes("full-width")
    area.props('tabindex=0 role=region aria-label="Comparison of seven learning methods"')
    with area, ui.element("table").classes("method-table"):
        with ui.element("thead"), ui.element("tr"):
            for head in heads:
                with ui.element("th").props("scope=col"):
                    ui.label(head)
        with ui.element("tbody"):
            for method in METHODS:
                _row(method, (runs or {}).get(method.method, []))
    ui.label(
        f"More in {DOCUMENT} of the sources: settings, checks against the authors' code, and measurements."
    ).classes("text-caption")


def _row(method: LearningMethod, runs: Sequence[Path]) -> None:
    with ui.element("tr"):
        with ui.element("th").props("scope=row"):
            ui.label(method.name).classes("text-weight-bold")
            ui.label(method.source).classes("text-caption")
        for text in (
            method.learns_from, method.negatives, method.texts, method.teacher, method.batch, method.good_for
        ):  # fmt: skip
            with ui.element("td"):
                ui.label(text)
        with ui.element("td"):
            for recipe in method.recipes:
                ui.label(recipe).classes("method-recipe")
            _runs(method, runs)


def _runs(method: LearningMethod, runs: Sequence[Path]) -> None:
    if not runs:
        ui.label("no run yet").classes("text-caption").tooltip(
            f"perception-contrast train run --recipe {method.recipes[0]} --set data.path=DATASET; then start "
            "the studio with --run"
        )
        return
    for path in runs[:MOST_RUNS]:
        ui.link(path.name, f"/training?run={quote(str(path))}")
    if len(runs) > MOST_RUNS:
        ui.link(f"and {len(runs) - MOST_RUNS} more", "/training")


CSS = """
.method-table { border-collapse: collapse; min-width: 1000px; font-size: 13px; }
.method-table th, .method-table td { padding: 8px 10px; text-align: left; vertical-align: top;
  border-bottom: 1px solid rgba(128, 128, 128, .35); font-weight: 400; }
.method-table thead th { font-weight: 600; }
.method-table tbody th { position: sticky; left: 0; background: var(--method-back, #fff); }
.body--dark .method-table tbody th { --method-back: #121212; }
.method-recipe { font-family: monospace; font-size: 12px; white-space: nowrap; }
"""
