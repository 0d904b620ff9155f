"""Images of a dataset for people: a sheet of its frames, and its timelines and paths."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.cache import replacing
from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.images.files import save_image
from perception_contrast.images.resize import resize_image
from perception_contrast.visualization.overlay import to_ascii
from perception_contrast_training.data.bags.options import NANOSECONDS
from perception_contrast_training.data.curation.every_frame import Frames, every_frame
from perception_contrast_training.data.datasets.folders import FolderDataset
from perception_contrast_training.data.datasets.manifest import DUPLICATES, SPLIT, read_table
from perception_contrast_training.data.datasets.shards import ShardDataset

_log = logging.getLogger(__name__)
_COLUMNS, _WIDTH, _LABEL, _GAP = 6, 200, 18, 4
_INK, _PAPER = (40, 40, 40), 255
_MOST_ROWS = 24
Image = NDArray[np.uint8]


def view(dataset: Path, out: Path, count: int = 48) -> list[Path]:
    """Writes ``contact_sheet.png`` into ``out``, and of frames with times ``timeline.png``.

    Raises PerceptionError.
    """
    frames = every_frame(dataset)
    if not len(frames):
        raise PerceptionError(f"dataset '{dataset}' has no frames to show; extract with milder filters")
    sheet, timeline = out / "contact_sheet.png", out / "timeline.png"
    save_image(sheet, contact_sheet(frames, count))
    if isinstance(frames, FolderDataset):
        return [sheet]
    draw_timeline(frames, dataset, timeline)
    return [sheet, timeline]


def contact_sheet(frames: Frames, count: int) -> Image:
    """(H, W, 3) uint8 RGB: frames evenly from all of the dataset, each with its number, time and text.

    An image of a folder has its name in place of those. One that cannot be read is named in the log.
    """
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int))
    return sheet_of([_tile(frames, int(index)) for index in chosen])


def sheet_of(tiles: Sequence[Image], columns: int = _COLUMNS) -> Image:
    """(H, W, 3) uint8 RGB: tiles of ``tile_of`` in rows."""
    columns = min(columns, len(tiles))
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    width = columns * (_WIDTH + _GAP) + _GAP
    height = sum(max(len(tile) for tile in row) + _GAP for row in rows) + _GAP
    sheet = np.full((height, width, 3), _PAPER, np.uint8)
    top = _GAP
    for row in rows:
        for column, tile in enumerate(row):
            left = _GAP + column * (_WIDTH + _GAP)
            sheet[top : top + len(tile), left : left + _WIDTH] = tile
        top += max(len(tile) for tile in row) + _GAP
    return sheet


def _label(frames: Frames, index: int) -> str:
    if isinstance(frames, FolderDataset):
        return f"{index}: {frames.names[index]}"
    begin = int(frames.stamps[frames.groups == frames.groups[index]].min())
    label = f"{index}: {(int(frames.stamps[index]) - begin) / NANOSECONDS:.1f} s"
    if len(np.unique(frames.groups)) > 1:
        label += f" of {frames.rows['bag'][index].as_py()}"
    texts = frames.rows["texts"][index].as_py()
    return label + (f" {texts[0]}" if texts else "")


def _tile(frames: Frames, index: int) -> Image:
    label = _label(frames, index)
    try:
        image = frames[index]["image"].permute(1, 2, 0).numpy()
    except FrameError as error:
        _log.warning("%s", error)
        image, label = np.full((_WIDTH * 3 // 4, _WIDTH, 3), 200, np.uint8), f"{index}: damaged"
    return tile_of(image, label)


def tile_of(image: Image, label: str) -> Image:
    """An image (H, W, 3) uint8 RGB of one width for all, with a line of text below it."""
    size = (max(1, round(image.shape[0] * _WIDTH / image.shape[1])), _WIDTH)
    strip = np.full((_LABEL, _WIDTH, 3), _PAPER, np.uint8)
    # OpenCV's letters know ASCII only.
    shown = to_ascii(label)[:30]
    cv2.putText(strip, shown, (2, _LABEL - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.38, _INK, 1, cv2.LINE_AA)
    return np.concatenate([resize_image(np.ascontiguousarray(image), size), strip])


def draw_timeline(frames: ShardDataset, dataset: Path, path: Path) -> None:
    """When frames were kept, by camera and part; brightness and sharpness; the path from above."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    known = np.isfinite(frames.poses[:, 0])
    lanes = _lanes(frames)
    figure = Figure(figsize=(12, 4.5 + 0.3 * len(lanes)), layout="constrained")
    ratios = [max(1.0, 0.35 * len(lanes)), 1.5]
    grid = figure.add_gridspec(2, 2, width_ratios=[2, 1] if known.any() else [1, 1e-3], height_ratios=ratios)
    colours = _colours(frames, dataset)
    times = _seconds(frames)
    _draw_lanes(figure.add_subplot(grid[0, 0]), lanes, times, colours)
    _draw_measures(figure.add_subplot(grid[1, 0]), frames, times)
    if known.any():
        _draw_path(figure.add_subplot(grid[:, 1]), frames, known, colours)
    figure.suptitle(f"{dataset.name}: {len(frames)} frames of {len(np.unique(frames.groups))} recording(s)")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _lanes(frames: ShardDataset) -> dict[str, NDArray[np.int64]]:
    """Indices of the frames of each camera of each recording; the busiest ones if there are many."""
    names = [f"{bag} {topic}" for bag, topic in zip(*_columns(frames, "bag", "topic"), strict=True)]
    found: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        found.setdefault(name, []).append(index)
    busiest = sorted(found, key=lambda name: -len(found[name]))[:_MOST_ROWS]
    return {name: np.array(found[name]) for name in found if name in busiest}


def _columns(frames: ShardDataset, *names: str) -> list[list[Any]]:
    return [frames.rows[name].to_pylist() for name in names]


def _seconds(frames: ShardDataset) -> NDArray[np.float64]:
    """Seconds since each recording's first frame."""
    seconds = np.zeros(len(frames))
    for group in np.unique(frames.groups):
        own = frames.groups == group
        seconds[own] = (frames.stamps[own] - frames.stamps[own].min()) / NANOSECONDS
    return seconds


def _colours(frames: ShardDataset, dataset: Path) -> dict[str, NDArray[np.int64]]:
    """Frames by what is said about them, later ones drawn above."""
    keys = frames.rows["key"].to_pylist()
    names = dict.fromkeys(keys, "frames")
    if (dataset / SPLIT).is_file():
        table = read_table(dataset / SPLIT, ["key", "part"])
        names |= dict(zip(table["key"].to_pylist(), table["part"].to_pylist(), strict=True))
    if (dataset / DUPLICATES).is_file():
        table = read_table(dataset / DUPLICATES, ["key", "duplicate"])
        twice = zip(table["key"].to_pylist(), table["duplicate"].to_pylist(), strict=True)
        names |= {key: "duplicate" for key, is_one in twice if is_one}
    labels = np.array([names[key] for key in keys])
    order = [name for name in ("duplicate", "unused") if name in labels]
    order += sorted(set(labels.tolist()) - set(order))
    return {name: np.nonzero(labels == name)[0] for name in order}


def _paint(name: str, number: int) -> str:
    return {"duplicate": "0.75", "unused": "0.5"}.get(name, f"C{number % 10}")


def _draw_lanes(
    axes: Any, lanes: dict[str, NDArray[np.int64]], times: NDArray[np.float64], colours: dict[str, Any]
) -> None:
    for height, own in enumerate(lanes.values()):
        for number, (name, members) in enumerate(colours.items()):
            shown = np.intersect1d(own, members)
            label = name if height == 0 else None
            axes.plot(
                times[shown], np.full(len(shown), height), "|", ms=12, c=_paint(name, number), label=label
            )
        axes.text(
            0.005, height - 0.3, list(lanes)[height], size="small", transform=axes.get_yaxis_transform()
        )
    axes.set_yticks([])
    axes.set_ylim(len(lanes) - 0.6, -0.8)
    axes.set_title("kept frames", loc="left")
    if len(colours) > 1:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(colours), frameon=False)


def _draw_measures(axes: Any, frames: ShardDataset, times: NDArray[np.float64]) -> None:
    brightness, sharpness = (np.array(one, float) for one in _columns(frames, "brightness", "sharpness"))
    axes.plot(times, brightness, ".", ms=4, c="C1", label="brightness (left)")
    axes.set(xlabel="seconds since the recording's first frame", ylim=(0, 255), ylabel="mean grey")
    other = axes.twinx()
    other.plot(times, np.maximum(sharpness, 0.1), ".", ms=4, c="C4", label="sharpness (right)")
    other.set_yscale("log")
    other.set_ylabel("variance of the Laplacian")
    handles = [*axes.get_lines(), *other.get_lines()]
    axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)


def _draw_path(axes: Any, frames: ShardDataset, known: NDArray[np.bool_], colours: dict[str, Any]) -> None:
    """The plane in which the cameras moved most: the ground, for a robot on wheels."""
    positions = frames.poses[:, :3]
    first, second = sorted(np.argsort(-np.ptp(positions[known], axis=0), kind="stable")[:2])
    for group in np.unique(frames.groups[known]):
        own = known & (frames.groups == group)
        axes.plot(positions[own, first], positions[own, second], "-", lw=0.8, c="0.85")
    for number, (name, members) in enumerate(colours.items()):
        shown = members[known[members]]
        axes.plot(
            positions[shown, first], positions[shown, second], "o", ms=4, c=_paint(name, number), label=name
        )
    letters = "xyz"
    axes.set(xlabel=f"{letters[first]} (m)", ylabel=f"{letters[second]} (m)")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title("where the camera was", loc="left")
