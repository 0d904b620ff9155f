"""A report of an accelerator as one Markdown page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perception_contrast.bench.gpu.figures import Figure, PartResult

DONE = "done"
_REACHED = {True: "yes", False: "**no**", None: ""}


def page_of(report: Mapping[str, Any]) -> str:
    """The page of a report's JSON; docs/measure.md says what its keys mean."""
    lines = ["# GPU report", "", *_facts(report)]
    for name, part in report["parts"].items():
        lines += ["", f"## {name}: {part['title']}", "", *_part(part, quick=report["quick"])]
    return "\n".join(lines) + "\n"


def _facts(report: Mapping[str, Any]) -> list[str]:
    machine = report["machine"]
    versions = ", ".join(f"{name} {value}" for name, value in machine["versions"].items())
    lines = [
        f"- device: {machine['gpu'] or machine['cpu']}",
        f"- processor: {machine['cpu']}, {machine['threads']} of {machine['cores']} cores",
        f"- load when it began: {machine['load'][0]} processes",
        f"- {versions}",
    ]
    lines.append("- aims in milliseconds are those of an H100 or H200")
    if report["quick"]:
        lines.append(
            "- **quick**: tiny images and networks, a few rounds: it shows that all parts run, no more"
        )
    return lines


def _part(part: Mapping[str, Any], *, quick: bool) -> list[str]:
    if part["state"] != DONE:
        return [f"Not measured: {part['problem']}"]
    result = PartResult.from_mapping(part["result"])
    lines = []
    if result.figures:
        rows = [_row(figure, quick=quick) for figure in result.figures]
        lines += ["| Figure | Value | Aim | Reached |", "|---|---|---|---|", *rows, ""]
    lines += [f"- not measured: {name}: {reason}" for name, reason in result.missing.items()]
    lines += [f"- {note}" for note in dict.fromkeys(result.notes)]
    return [*lines, f"- took {part['seconds']:.0f} s"]


def _row(figure: Figure, *, quick: bool) -> str:
    """quick: no aim is reached or missed at a tiny size."""
    reached = "" if quick else _REACHED[figure.reached]
    return f"| {figure.name} | {figure.shown} | {figure.aim_shown} | {reached} |"
