"""All frames of a dataset as thumbnails, filtered and sorted, and one of them with what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from nicegui import ui
from numpy.typing import NDArray

from perception_contrast_studio.components.dataset.dataset_charts import lane_name
from perception_contrast_studio.components.dataset.dataset_frames import DatasetFrames
from perception_contrast_studio.components.dataset.frame_grid import DUPLICATE, PLAIN, FrameGrid
from perception_contrast_studio.server.studio_page import Visit

ALL = "all"
KINDS = (ALL, "without near-duplicates", "near-duplicates only")


def chosen_frames(
    frames: DatasetFrames, lane: str = ALL, part: str = ALL, kind: str = ALL, order: str = "time"
) -> NDArray[np.int64]:
    """Numbers of the frames that a filter leaves.

    Args:
        frames: Of the dataset.
        lane: Name of a recording's topic or of a folder, or ``ALL``.
        part: Name of a part, or ``ALL``.
        kind: Of ``KINDS``.
        order: "time" for the dataset's own, or a measure, the lowest first.
    """
    chosen = np.ones(len(frames), bool)
    if lane != ALL:
        names = np.array([lane_name(one) for one in frames.lanes])
        chosen &= (names == lane)[frames.lane]
    if part != ALL:
        chosen &= frames.parts == (frames.part_names.index(part) if part in frames.part_names else -2)
    if kind != ALL:
        chosen &= frames.duplicates == (kind == KINDS[2])
    found = np.flatnonzero(chosen)
    if order in frames.measures:
        found = found[np.argsort(frames.measures[order][found], kind="stable")]
    return found


class DatasetBrowser:
    """Thumbnails and a filter.

    Args:
        visit: Of the visitor.
        frames: Of the dataset.
        base: URL of its images.
        label: Called with a frame that is to be labelled.
    """

    def __init__(self, visit: Visit, frames: DatasetFrames, base: str, label: Callable[[int], None]) -> None:
        self._frames, self._base, self._label = frames, base, label
        with ui.row().classes("gap-md items-center full-width"):
            lanes = [ALL, *dict.fromkeys(lane_name(one) for one in frames.lanes)]
            self._lane = self._select("recording", lanes)
            self._part = self._select("part", [ALL, *frames.part_names])
            self._kind = self._select("near-duplicates", list(KINDS))
            self._order = self._select("order", ["time", *frames.measures])
            self._count = ui.label().props("role=status")
        self._part.set_visibility(bool(frames.part_names))
        self._kind.set_visibility("dedup" in frames.facts)
        self._grid = FrameGrid(visit, self._open)
        self._show()

    def _select(self, name: str, options: list[str]) -> ui.select:
        found = ui.select(options, value=options[0], label=name, on_change=self._show)
        return found.props("dense outlined options-dense").style("min-width: 10rem; max-width: 20rem")

    def _show(self) -> None:
        found = chosen_frames(
            self._frames, str(self._lane.value), str(self._part.value), str(self._kind.value),
            str(self._order.value),
        )  # fmt: skip
        self._count.text = f"{len(found)} of {len(self._frames)} frames"
        marks = np.where(self._frames.duplicates[found], DUPLICATE, PLAIN)
        self._grid.show(self._base, found.tolist(), marks.tolist())

    def _open(self, index: int) -> None:
        if not 0 <= index < len(self._frames):
            return
        with ui.dialog() as dialog, ui.card().style("max-width: 95vw; width: 54rem"):
            image = ui.element("img").props(f'src="{self._base}/{index}/image"')
            image.props["alt"] = f"frame {index}"
            image.style("max-width: 100%; max-height: 62vh; object-fit: contain; margin: auto")
            with ui.row().classes("gap-md"):
                for name, value in frame_facts(self._frames, index):
                    ui.label(f"{name}: {value}").classes("studio-wrap")

            def label() -> None:
                dialog.close()
                self._label(index)

            with ui.row().classes("full-width justify-end"):
                ui.button("Label it", icon="draw", on_click=label).props("no-caps flat")
                ui.button("Close", on_click=dialog.close).props("no-caps")
        dialog.on("hide", dialog.delete)
        dialog.open()


def frame_facts(frames: DatasetFrames, index: int) -> list[tuple[str, Any]]:
    """What is known of a frame, for people."""
    found: list[tuple[str, Any]] = [("frame", index), ("name", frames.keys[index])]
    if name := lane_name(frames.lanes[int(frames.lane[index])]):
        found.append(("of", name))
    seconds = frames.seconds()[index] if frames.stamps[index] >= 0 else np.nan
    if np.isfinite(seconds):
        found.append(("time", f"{seconds:.2f} s"))
    if part := frames.part_of(index):
        found.append(("part", part))
    found += [
        (name, f"{float(values[index]):.3g}")
        for name, values in frames.measures.items()
        if np.isfinite(values[index])
    ]
    if (owner := int(frames.duplicate_of[index])) >= 0:
        cosine = float(frames.duplicate_similarity[index])
        found.append(("near-duplicate", f"of frame {owner}, cosine {cosine:.3f}"))
    if np.isfinite(frames.positions[index]).all():
        found.append(("position", ", ".join(f"{one:.2f}" for one in frames.positions[index].tolist()) + " m"))
    return found
