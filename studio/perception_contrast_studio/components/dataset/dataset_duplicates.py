"""Near-duplicates of a dataset, group by group, side by side with how similar they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nicegui import ui

from perception_contrast_studio.components.dataset.dataset_frames import DatasetFrames

GROUPS_ON_A_PAGE = 8
MOST_IN_A_GROUP = 24


@dataclass(frozen=True)
class DuplicateGroup:
    """A frame that is kept, and its near-duplicates with their cosines, the most similar first."""

    kept: int
    duplicates: tuple[tuple[int, float], ...]


def duplicate_groups(frames: DatasetFrames) -> list[DuplicateGroup]:
    """The largest groups first."""
    twice = np.flatnonzero(frames.duplicates)
    members: dict[int, list[tuple[int, float]]] = {}
    for index, owner in zip(twice.tolist(), frames.duplicate_of[twice].tolist(), strict=True):
        members.setdefault(owner, []).append((index, float(frames.duplicate_similarity[index])))
    found = [
        DuplicateGroup(owner, tuple(sorted(rows, key=lambda row: -row[1]))) for owner, rows in members.items()
    ]
    return sorted(found, key=lambda group: -len(group.duplicates))


class DatasetDuplicates:
    """Groups, a page at a time.

    Args:
        frames: Of the dataset.
        base: URL of its images.
    """

    def __init__(self, frames: DatasetFrames, base: str) -> None:
        self._frames, self._base = frames, base
        if "dedup" not in frames.facts:
            ui.markdown(
                "Nobody has looked for near-duplicates yet. In a terminal:\n\n"
                f"    perception-contrast data dedup {frames.folder}\n\n"
                "`--descriptor thumbnail` is quicker and needs no model."
            )
            return
        facts = frames.facts["dedup"]
        self._groups = duplicate_groups(frames)
        ui.label(
            f"{int(frames.duplicates.sum())} of {len(frames)} frames show what another one shows already: "
            f"their vectors ({facts.get('space', 'unknown')}) have a cosine of {facts.get('threshold', '?')} "
            "or more. Readers and training skip them; nothing is deleted."
        ).classes("studio-wrap")
        if not self._groups:
            return
        pages = -(-len(self._groups) // GROUPS_ON_A_PAGE)
        if pages > 1:
            ui.pagination(
                1, pages, direction_links=True, on_change=lambda event: self._show(event.value)
            ).props("max-pages=7")
        self._box = ui.column().classes("full-width gap-md")
        self._show(1)

    def _show(self, page: int) -> None:
        self._box.clear()
        first = (page - 1) * GROUPS_ON_A_PAGE
        with self._box:
            for group in self._groups[first : first + GROUPS_ON_A_PAGE]:
                self._group(group)

    def _group(self, group: DuplicateGroup) -> None:
        with ui.card().classes("full-width q-pa-sm"), ui.row().classes("gap-sm items-start"):
            self._frame(group.kept, "kept", "3px solid #009e73")
            for index, cosine in group.duplicates[:MOST_IN_A_GROUP]:
                self._frame(index, f"{cosine:.3f}", "3px dashed #cc79a7")
            if (more := len(group.duplicates) - MOST_IN_A_GROUP) > 0:
                ui.label(f"and {more} more")

    def _frame(self, index: int, text: str, line: str) -> None:
        with ui.column().classes("gap-none items-center"):
            image = ui.element("img").props(f'src="{self._base}/{index}/thumbnail" loading=lazy')
            image.props["alt"] = f"frame {index}, {text}"
            image.style(f"width: 132px; border: {line}; border-radius: 4px")
            ui.label(f"{index}: {text}").classes("text-caption")
