"""The tables of a page, from a file of results: means over seeds, what is not run, and what was published."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from perception_contrast_training.bench.learning.cells import (
    LIGHTLY,
    OPEN_CLIP,
    OURS,
    SEEDS,
    WORDS,
    Cell,
    all_cells,
)
from perception_contrast_training.bench.learning.published import PUBLISHED, Published
from perception_contrast_training.bench.learning.results import CELLS, MISSING, UNDER_WAY
from perception_contrast_training.evaluation.report import Outcome, Table, markdown

Row = tuple[str | float | int | None, ...]
Content = Mapping[str, Any]
ALONE = ("kNN", "linear probe", "spread", "rank")
WITH_WORDS = ("zero-shot", "text to image R@1", "image to text R@1", "linear probe")
CHANCE = {
    "zero-shot": "zero-shot chance",
    "text to image R@1": "R@1 chance",
    "image to text R@1": "R@1 chance",
}


def page(content: Content) -> str:
    """All tables as Markdown, with what is missing named below them."""
    tables = [_images_alone(content), _fine_tuned(content), _words(content), _published(content)]
    return markdown(Outcome({}, [one for one in tables if one.rows], notes=list(_notes(content))))


def _found(content: Content, method: str, on: str, maker: str) -> list[Content]:
    cells = (Cell(method, on, seed, maker).key for seed in SEEDS)
    return [content[CELLS][key] for key in cells if key in content[CELLS]]


def _groups(kinds: Iterable[Cell]) -> list[tuple[str, str, str]]:
    return list(dict.fromkeys((one.method, one.on, one.maker) for one in sorted(kinds, key=_place)))


def _place(cell: Cell) -> tuple[int, int, str, bool]:
    order = ("simclr", "byol", "dino", "dinov2", "mae", *WORDS)
    return (int(cell.method in WORDS), order.index(cell.method), cell.on, cell.maker != OURS)


def _shown(values: Sequence[float], digits: int = 3) -> str:
    """Mean ± half the range, the mean alone of one seed."""
    if not values:
        return "not run yet"
    text = f"{statistics.fmean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ± {(max(values) - min(values)) / 2:.{digits}f}"


def _images_alone(content: Content) -> Table:
    rows: list[Row] = []
    digits = {"rank": 1}
    for method, on, maker in _groups(one for one in all_cells() if one.method not in WORDS):
        many = _found(content, method, on, maker)
        cells: list[str | float | int | None] = []
        for name in ALONE:
            pairs = [(one["start"][name], one["end"][name]) for one in many]
            before = [a for a, _ in pairs]
            after = [b for _, b in pairs]
            cells.append(
                f"{statistics.fmean(before):.{digits.get(name, 3)}f} to {_shown(after, digits.get(name, 3))}"
                if pairs
                else _shown([])
            )
        rate = round(statistics.fmean(one["images per second"] for one in many)) if many else None
        rows.append((f"{method}, {on}, {maker}", len(many), *cells, rate))
    return Table("Without captions: start to end", ("method", "seeds", *ALONE, "images/s"), rows)


def _fine_tuned(content: Content) -> Table:
    rows: list[Row] = []
    for maker in (OURS, LIGHTLY):
        many = _found(content, "mae", "vit_tiny", maker)
        for when in ("start", "end"):
            values = [one[when]["fine-tuned"] for one in many if "fine-tuned" in one[when]]
            rows.append((f"mae, vit_tiny, {maker}", "random" if when == "start" else "mae", _shown(values)))
    return Table("Fine-tuned with labels", ("method", "weights before", "accuracy"), rows)


def _words(content: Content) -> Table:
    rows: list[Row] = []
    for method, on, maker in _groups(one for one in all_cells() if one.method in WORDS):
        many = _found(content, method, on, maker)
        cells = [_of_words(many, name) for name in WITH_WORDS]
        rate = round(statistics.fmean(one["images per second"] for one in many)) if many else None
        rows.append((f"{method}, {on}, {maker}", len(many), *cells, rate))
    return Table("With captions (chance in brackets)", ("method", "seeds", *WITH_WORDS, "pairs/s"), rows)


def _of_words(many: Sequence[Content], name: str) -> str:
    if many and name not in many[0]["end"]:
        return "-"
    text = _shown([one["end"][name] for one in many])
    chance = many[0]["end"].get(CHANCE.get(name, "")) if many else None
    return text if chance is None else f"{text} ({chance:.3f})"


def _published(content: Content) -> Table:
    rows: list[Row] = []
    for paper in PUBLISHED:
        for on in ("scenes", "photographs") if paper.method in WORDS else ("vit_tiny", "resnet18"):
            if not any((one.method, one.on) == (paper.method, on) for one in all_cells(SEEDS[:1])):
                continue
            other = OPEN_CLIP if paper.method in WORDS else LIGHTLY
            ours, theirs = (_percent(content, paper, on, maker) for maker in (OURS, other))
            with_what = f"{paper.backbone}; {paper.data}"
            rows.append(
                (
                    f"{paper.method}, {paper.axis}",
                    f"{paper.percent}",
                    with_what,
                    on,
                    ours,
                    theirs,
                    paper.source,
                )
            )
    headings = ("method, axis", "ImageNet-1k, %", "with", "here on", "ours, %", "beside, %", "paper")
    return Table("Published figures on their axes", headings, rows)


def _percent(content: Content, paper: Published, on: str, maker: str) -> str:
    many = _found(content, paper.method, on, maker)
    return _shown([100 * one["end"][paper.axis] for one in many if paper.axis in one["end"]], 1)


def _notes(content: Content) -> Iterable[str]:
    cells = all_cells()
    done = sum(one.key in content[CELLS] for one in cells)
    hours = sum(one.get("seconds", 0.0) for one in content[CELLS].values()) / 3600
    yield f"{done} of {len(cells)} cells are run; their steps took {hours:.1f} hours of one core."
    for key, steps in content.get(UNDER_WAY, {}).items():
        yield f"`{key}` is under way: {steps} steps are done."
    for key, why in content.get(MISSING, {}).items():
        yield f"`{key}` cannot be run: {why}"
