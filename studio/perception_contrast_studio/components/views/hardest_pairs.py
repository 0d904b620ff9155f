"""A list of the wrong pairs that an encoder finds most alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui
from nicegui.element import Element


class HardestPairs(Element, component="hardest_pairs.js"):
    """Starts empty; emits ``row`` with a row's number when one is chosen."""

    def __init__(self) -> None:
        super().__init__()
        ui.add_css(_CSS)
        empty = {"names": [], "sheet": ""}
        self._props.update({"pairs": [], "first": empty, "second": empty})

    def show(
        self, pairs: Sequence[Mapping[str, Any]], first: Mapping[str, Any], second: Mapping[str, Any]
    ) -> None:
        """Shows pairs of ``row``, ``column``, ``cosine``, ``probability``, ``near`` and ``alike``.

        Args:
            pairs: The hardest first.
            first: ``names`` and the URL of the picture ``sheet`` of the rows.
            second: The same of the columns.
        """
        self._props.update({"pairs": list(pairs), "first": dict(first), "second": dict(second)})
        self.update()


_CSS = """
.hp { list-style: none; margin: 0; padding: 0; width: 100%; display: grid; gap: 10px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); }
.hp li { display: flex; gap: 6px; align-items: center; font-size: 13px; line-height: 1.35; min-width: 0; }
.hp-text { min-width: 0; overflow-wrap: anywhere; }
.hp-row { font: inherit; border: 1px solid currentColor; border-radius: 4px; background: none; color: inherit;
  cursor: pointer; padding: 0 5px; margin-right: 4px; }
.hp-near, .hp-alike { display: inline-block; border-radius: 4px; padding: 0 5px; color: #000; }
.hp-near { background: #00e5a0; }
.hp-alike { background: #56b4e9; }
@media (max-width: 500px) { .hp li { flex-wrap: wrap; } }
"""
