"""A heat map of a batch: every image against every text, or against every other view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from nicegui import ui
from nicegui.element import Element
from numpy.typing import NDArray

from perception_contrast_studio.server.studio_page import Visit

MEANINGS: Mapping[str, str] = {
    "rows": "share of the row's softmax",
    "columns": "share of the column's softmax",
    "sigmoid": "probability that they belong together",
    "cosine": "cosine",
}


class SimilarityMatrix(Element, component="similarity_matrix.js"):
    """Starts empty; emits ``row`` with a row's number when one is chosen.

    Args:
        visit: The visitor's view, whose data it publishes.
    """

    def __init__(self, visit: Visit) -> None:
        super().__init__()
        ui.add_css(_CSS)
        self._visit = visit
        self._urls: list[str] = []
        self._props.update(
            {
                "table": "",
                "near": "",
                "alike": "",
                "count": 0,
                "row": -1,
                "first": {"names": [], "sheet": ""},
                "second": {"names": [], "sheet": ""},
                "meaning": "",
                "low": 0.0,
                "high": 1.0,
                "powered": False,
            }
        )

    def name_items(
        self, first: Sequence[str], second: Sequence[str], first_sheet: str, second_sheet: str
    ) -> None:
        """Names of rows and columns, and URLs of their pictures side by side, "" for none."""
        self._props["first"] = {"names": list(first), "sheet": first_sheet}
        self._props["second"] = {"names": list(second), "sheet": second_sheet}

    def show(
        self, kind: str, table: NDArray[np.float32], near: NDArray[np.bool_], alike: NDArray[np.bool_]
    ) -> None:
        """Shows a table.

        Args:
            kind: Of MEANINGS.
            table: (n, n), NaN for what is left out.
            near: (n, n), pairs near in time or place.
            alike: (n, n), pairs of one class or caption.
        """
        old, self._urls = self._urls, []
        low, high = (float(np.nanmin(table)), float(np.nanmax(table))) if kind == "cosine" else (0.0, 1.0)
        self._props.update(
            {
                "table": self._publish(table.tobytes()),
                "near": self._publish(near.astype(np.uint8).tobytes()) if near.any() else "",
                "alike": self._publish(alike.astype(np.uint8).tobytes()) if alike.any() else "",
                "count": len(table),
                "meaning": MEANINGS[kind],
                "low": low,
                "high": high,
                "powered": kind != "cosine",
            }
        )
        self.update()
        for url in old:
            self._visit.studio.blobs.remove(url)

    def mark_row(self, row: int) -> None:
        """Frames a row."""
        self._props["row"] = row
        self.update()

    def _publish(self, data: bytes) -> str:
        self._urls.append(self._visit.publish(data))
        return self._urls[-1]


def same_group(groups: Sequence[Any]) -> NDArray[np.bool_]:
    """(n, n): different items of one class or caption."""
    names = np.array([str(one) for one in groups], dtype=object)
    same = (names[:, None] == names[None]) & (names != "")[:, None]
    np.fill_diagonal(same, False)
    return np.asarray(same, bool)


_CSS = """
.pm { width: 100%; max-width: 620px; }
.pm-box { width: 100%; aspect-ratio: 1; }
.pm-box canvas { width: 100%; height: 100%; display: block; border-radius: 4px; cursor: crosshair; }
.pm-scale { display: flex; align-items: center; gap: 8px; font-size: 12px; margin-top: 6px; }
.pm-scale i { flex: 1; height: 8px; border-radius: 4px; background: linear-gradient(90deg,
  #000004, #33126a, #781c6d, #be3752, #ed6925, #fbb41a, #fcffa4); }
.pm-said { display: flex; gap: 12px; align-items: center; min-height: 104px; font-size: 13px;
  line-height: 1.4;  overflow-wrap: anywhere; }
.pm-pair { display: flex; gap: 4px; }
.pm-tile { width: 96px; height: 96px; border-radius: 4px; flex: none; background-repeat: no-repeat; }
"""
