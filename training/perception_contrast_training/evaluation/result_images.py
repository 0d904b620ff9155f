"""Images of a report: confusion matrix, reliability diagram, curves, worst cases side by side."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.images.resize import resize_image, resize_labels
from perception_contrast.visualization.overlay import label_colour, to_ascii
from perception_contrast_training.evaluation.libraries import evaluation_library
from perception_contrast_training.evaluation.metrics.reliability import Reliability

Image = NDArray[np.uint8]
WIDTH = 320  # of an image on a contact sheet
DOTS_PER_INCH = 110
MOST_WRITTEN = 24  # classes whose counts are still readable in the cells
STRIP = 20  # pixels for a line of text


def confusion_image(counts: NDArray[np.int64], names: Sequence[str]) -> Image:
    """counts (classes, classes or classes + 1), rows are truths; each row as shares of its truths."""
    headings = [*names, "none"][: counts.shape[1]]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(0.42 * len(names) + 2.5, 5, 26))
    figure, axes = _figure(side, side)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(headings)), headings, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    axes.set_title("confusion, share of each truth")
    if len(names) <= MOST_WRITTEN:
        for row, column in zip(*np.nonzero(shares >= 0.005), strict=True):
            value = shares[row, column]
            colour = "white" if value > 0.6 else "black"
            axes.text(column, row, f"{value:.2f}".lstrip("0"), ha="center", va="center", color=colour, size=8)
    return _rendered(figure)


def reliability_image(bins: Reliability, title: str) -> Image:
    """Stated probability against how often it was right, above a histogram of the cases."""
    figure, (upper, lower) = _figure(5.2, 6.4, rows=2, heights=(3, 1))
    edges = np.linspace(0, 1, len(bins.counts) + 1)
    filled = bins.counts > 0
    width = edges[1]
    upper.bar(
        edges[:-1][filled], bins.actual[filled], width, align="edge", color="#4a7cb8", edgecolor="white"
    )
    upper.plot([0, 1], [0, 1], color="#787e8a", linestyle="--", linewidth=1)
    upper.plot(bins.stated[filled], bins.actual[filled], "o", color="#22467a", markersize=4)
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that was right")
    upper.set_title(f"{title}: calibration error {bins.error:.3f}, {bins.counts.sum()} cases", size=10)
    lower.bar(edges[:-1], bins.counts, width, align="edge", color="#b0b4bc", edgecolor="white")
    lower.set(xlim=(0, 1), xlabel="stated probability", ylabel="cases")
    return _rendered(figure)


def curve_image(
    curve: Sequence[tuple[float, float, float]], published: float, at_recall: float | None
) -> Image:
    """(threshold, present reported, absent reported) as two lines, with the thresholds in use."""
    figure, axes = _figure(6, 4.2)
    thresholds, present, absent = zip(*curve, strict=True)
    axes.plot(thresholds, present, color="#34966a", label="present names that are reported")
    axes.plot(thresholds, absent, color="#b84a4a", label="absent names that are reported")
    axes.axvline(published, color="#22467a", linestyle="--", linewidth=1, label=f"published, {published:.2f}")
    if at_recall is not None:
        label = f"90 % of present names, {at_recall:.2f}"
        axes.axvline(at_recall, color="#787e8a", linestyle=":", linewidth=1, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="threshold", ylabel="share", title="is there an X?")
    axes.legend(fontsize=8)
    return _rendered(figure)


@dataclass
class WorstCases:
    """Keeps the images with the lowest scores for a contact sheet."""

    most: int = 8
    headings: tuple[str, ...] = ("image", "truth", "prediction")
    _kept: list[tuple[float, int, str, tuple[Image, ...]]] = field(default_factory=list)
    _count: int = 0

    def add(self, score: float, text: str, panels: Sequence[Image]) -> None:
        """panels: (H, W, 3) uint8 of one size, one for each heading; a nan score is left out."""
        if self._counts(score):
            self._keep(score, text, tuple(_fitted(panel) for panel in panels))

    def merge(self, later: WorstCases) -> None:
        """Adds what another has kept, as of images behind those of this one."""
        for negative, _, text, panels in sorted(later._kept, key=lambda one: one[1]):
            if self._counts(-negative):
                self._keep(-negative, text, panels)

    def _counts(self, score: float) -> bool:
        return bool(np.isfinite(score)) and (len(self._kept) < self.most or -score > self._kept[0][0])

    def _keep(self, score: float, text: str, small: tuple[Image, ...]) -> None:
        self._count += 1
        heapq.heappush(self._kept, (-score, self._count, text, small))
        if len(self._kept) > self.most:
            heapq.heappop(self._kept)

    def sheet(self) -> Image | None:
        """Worst first, a row each; None if nothing was added."""
        rows = [_row(text, panels) for _, _, text, panels in sorted(self._kept, reverse=True)]
        if not rows:
            return None
        return stacked([_headline(self.headings, rows[0].shape[1]), *rows])


def tinted(image: Image, labels: NDArray[np.integer]) -> Image:
    """An image with a colour over each label from 0 on; lower ones stay as they are."""
    painted = np.array(image)
    for label in np.unique(labels[labels >= 0]):
        where = labels == label
        painted[where] = (0.4 * image[where] + 0.6 * np.array(label_colour(int(label) + 1))).astype(np.uint8)
    return painted


def stacked(rows: Sequence[Image]) -> Image:
    """One below the other on white, each at the left."""
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.concatenate(padded)


def tiled(images: Sequence[tuple[str, Image]], columns: int = 5, width: int = WIDTH) -> Image:
    """Images with their names, in rows of ``columns``."""
    cells = [_labelled(text, _fitted(image, width)) for text, image in images]
    rows = [np.concatenate(_level(cells[i : i + columns]), axis=1) for i in range(0, len(cells), columns)]
    return stacked(rows)


def _level(cells: Sequence[Image]) -> list[Image]:
    height = max(cell.shape[0] for cell in cells)
    return [np.pad(c, ((0, height - c.shape[0]), (0, 0), (0, 0)), constant_values=255) for c in cells]


def _fitted(image: Image, width: int = WIDTH) -> Image:
    """At that width, with white beside one that is higher than wide; small ones without mixed colours."""
    scale = width / max(image.shape[:2])
    size = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
    if size[0] <= image.shape[0]:
        fitted = np.asarray(resize_image(image, size))
    else:
        fitted = np.stack([resize_labels(image[..., channel], size) for channel in range(3)], axis=-1)
    return np.pad(fitted, ((0, 0), (0, width - size[1]), (0, 0)), constant_values=255)


def _row(text: str, panels: Sequence[Image]) -> Image:
    return _labelled(text, np.concatenate(_level(panels), axis=1))


def _labelled(text: str, image: Image) -> Image:
    return np.concatenate([_strip(text, image.shape[1]), image])


def _headline(headings: Sequence[str], width: int) -> Image:
    return np.concatenate([_strip(heading, width // len(headings)) for heading in headings], axis=1)


def _strip(text: str, width: int) -> Image:
    strip = np.full((STRIP, width, 3), 255, np.uint8)
    cv2.putText(
        strip, to_ascii(text), (4, STRIP - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (30, 34, 42), 1, cv2.LINE_AA
    )
    return strip


def _figure(width: float, height: float, rows: int = 1, heights: Sequence[float] = (1,)) -> tuple[Any, Any]:
    """A matplotlib figure that no window shows, and its axes."""
    made = evaluation_library("matplotlib.figure").Figure(
        (width, height), DOTS_PER_INCH, layout="constrained"
    )
    return made, made.subplots(rows, 1, height_ratios=heights)


def _rendered(figure: Any) -> Image:
    renderer = evaluation_library("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    renderer.draw()
    return np.array(renderer.buffer_rgba())[..., :3].copy()
