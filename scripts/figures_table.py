"""Writes the figures of a training run into the model card, as a table between its two markers.

Run in a shell after `source env.sh`:
  python scripts/figures_table.py [runs/household_lit/figures.json [docs/model_card_household_lit.md]]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from perception_contrast.core.cache import atomic_write
from perception_contrast_training.evaluation.marked_text import between_markers

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "runs" / "household_lit" / "figures.json"
CARD = ROOT / "docs" / "model_card_household_lit.md"

# What the evaluation reports, in the order of the table; kinds that are not named here follow.
ASKED = (
    "category",
    "colour and category",
    "new colour-object pair",
    "held-out phrasing",
    "held-out synonym",
    "category, large",
    "category, medium",
    "category, small",
)
Row = tuple[str, list[str]]


def ordered(kinds: Sequence[str]) -> list[str]:
    known = [kind for kind in ASKED if kind in kinds]
    return known + [kind for kind in kinds if kind not in known]


def decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def rows(heads: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    """Title, number of questions and a cell for each head. The first head decides what is in the table."""
    first = next(iter(heads.values()))
    unseen, held_out = first["unseen scenes"], first["held out"]

    def cells(part: str, group: str, kind: str, show: Any) -> list[str]:
        return [show(head[part][group].get(kind)) for head in heads.values()]

    def alone(name: str, show: Any) -> list[str]:
        return [show(head["unseen scenes"].get(name)) for head in heads.values()]

    for kind in ordered(list(unseen["iou"])):
        count = str(unseen["questions"][kind])
        yield f"IoU, {kind}", [count, *cells("unseen scenes", "iou", kind, decimal)]
    yield "AP50 over categories", [str(unseen["ap50_categories"]), *alone("ap50", decimal)]
    yield (
        "present categories reported",
        [str(unseen["questions"].get("category", "")), *alone("found_when_present", percent)],
    )
    for kind in unseen["fired_when_absent"]:
        count = str(unseen["questions"][kind])
        yield f"{kind} reported", [count, *cells("unseen scenes", "fired_when_absent", kind, percent)]
    for kind in held_out["iou"]:
        count = str(held_out["questions"][kind])
        yield f"IoU, held-out category, by {kind}", [count, *cells("held out", "iou", kind, decimal)]


def table(figures: Mapping[str, Any]) -> str:
    """Markdown, with the head's identity. Raises ValueError where the file holds no head's figures."""
    heads = {name: value for name, value in figures.items() if name != "head"}
    if not heads or "head" not in figures:
        raise ValueError("it holds no figures of a head; run `perception-contrast train --only evaluate`")
    lines = ["| | questions | " + " | ".join(heads) + " |", "|---|--:|" + "--:|" * len(heads)]
    lines += [f"| {title} | " + " | ".join(cells) + " |" for title, cells in rows(heads)]
    return "\n".join([f"Head `{figures['head'][:12]}`.", "", *lines])


def main(argv: Sequence[str]) -> int:
    source, card = (Path(given) for given in (*argv, *(FIGURES, CARD)[len(argv) :]))
    path = source
    try:
        text = table(json.loads(source.read_text(encoding="utf-8")))
        path = card
        atomic_write(card, between_markers(card.read_text(encoding="utf-8"), text).encode())
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"figures_table: {path}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
