"""What is in the lasso, and its export as a part of a split or as a list."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nicegui import ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.plain_names import PLAIN_NAME_RULE, is_plain_name
from perception_contrast_studio.components.embedding.embedding_session import EmbeddingSession
from perception_contrast_studio.server.studio_page import Visit

MOST_ROWS = 12
_SPLIT = "split.parquet"


class LassoPanel:
    """Counts of the lasso for each label, and its export.

    Args:
        visit: Whose rights and folders count.
        session: Whose lasso it is.
        on_clear: Called when the lasso is dropped.
    """

    def __init__(self, visit: Visit, session: EmbeddingSession, on_clear: Callable[[], Any]) -> None:
        self._visit, self._session, self._on_clear = visit, session, on_clear
        self._box = ui.column().classes("full-width embedding-panel")

    def update(self) -> None:
        """Shows the present lasso."""
        session = self._session
        self._box.clear()
        with self._box:
            if not len(session.selection):
                ui.label(
                    "Shift + drag around points, or use the lasso button and a finger. Then count them "
                    "here and export them."
                ).classes("text-caption")
                return
            ui.label(f"{len(session.selection):,} points in the lasso").classes("text-subtitle1").props(
                "role=status"
            )
            self._table()
            with ui.row().classes("q-gutter-sm"):
                ui.button(
                    "Export as split", icon="call_split", on_click=self._visit.changes(self._ask)
                ).props("no-caps")
                ui.button("Clear", icon="clear", on_click=self._on_clear).props("flat no-caps")

    def _table(self) -> None:
        counts = self._session.counts_by_label()
        shown, rest = counts[:MOST_ROWS], counts[MOST_ROWS:]
        rows = [{"label": label, "count": count} for label, count in shown]
        if rest:
            rows.append({"label": f"{len(rest)} more labels", "count": sum(count for _, count in rest)})
        columns: list[dict[str, Any]] = [
            {"name": "label", "label": "Label", "field": "label", "align": "left"},
            {"name": "count", "label": "Points", "field": "count", "align": "right"},
        ]
        ui.table(rows=rows, columns=columns, row_key="label").props("flat dense").classes("full-width")

    def _ask(self) -> None:
        points = self._session.points
        assert points is not None
        splits = points.splittable and points.folder is not None
        with ui.dialog() as dialog, ui.card().style("min-width: min(420px, 90vw)"):
            ui.label("Export the lasso").classes("text-h6")
            part = ui.input("Name of the part", value="selected").classes("full-width")
            others, change = None, None
            if splits and points.folder is not None:
                path = points.folder / _SPLIT
                if path.is_file():
                    change = ui.checkbox("Change the split that is there; it is kept under another name")
                    ui.label("The other images keep their parts.").classes("text-caption")
                else:
                    others = ui.input("Part of all other images", value="train").classes("full-width")
                ui.label(f"Writes {path}, which recipes use as data.part.").classes(
                    "text-caption studio-wrap"
                )
            else:
                ui.label(f"Writes {self._list_path('NAME')}, a name a line.").classes(
                    "text-caption studio-wrap"
                )

            async def write() -> None:
                try:
                    line = await self._write(
                        str(part.value).strip(),
                        str(others.value).strip() if others is not None else "train",
                        bool(change.value) if change is not None else False,
                        splits,
                    )
                except PerceptionError as error:
                    ui.notify(str(error), type="warning", multi_line=True)
                    return
                dialog.close()
                ui.notify(line, type="positive", multi_line=True, timeout=8000)

            with ui.row().classes("full-width justify-end"):
                ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
                ui.button("Write", on_click=self._visit.changes(write)).props("no-caps")
        dialog.on("hide", dialog.delete)
        dialog.open()

    async def _write(self, part: str, others: str, change: bool, splits: bool) -> str:
        points, selection = self._session.points, self._session.selection
        assert points is not None
        chosen = [points.name_of(int(index)) for index in selection]
        workers = self._visit.studio.workers
        if splits:
            line = await workers.run(
                "datasets.split_export:write_split",
                folder=points.folder,
                chosen=chosen,
                part=part,
                others=others,
                change=change,
            )
        elif not is_plain_name(part):
            raise PerceptionError(f"part {part[:80]!r} is not a name; {PLAIN_NAME_RULE}")
        else:
            path = self._visit.studio.folders.checked(self._list_path(part))
            line = await workers.run("datasets.split_export:write_list", path=path, chosen=chosen)
        return str(line)

    def _list_path(self, part: str) -> Path:
        """Beside the vectors, or in the studio's own folder where there is no dataset."""
        points = self._session.points
        assert points is not None
        folder = points.folder or self._visit.studio.folders.recordings
        if folder is None:
            raise PerceptionError("the studio has no folder to write into; start it with --save-to DIR")
        stem = re.sub(
            r"[^A-Za-z0-9_-]+", "_", points.title.rpartition("/")[2].rpartition(".")[0] or points.title
        )
        return folder / f"{stem}.{part}.txt"
