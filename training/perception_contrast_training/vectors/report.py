"""`embed report`: near-duplicates, outliers and coverage, as figures, contact sheets and a page."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import require_writable
from perception_contrast.images.files import save_image
from perception_contrast_training.data.curation.contact_sheet import sheet_of
from perception_contrast_training.data.curation.near_duplicates import find_duplicates, usual_threshold
from perception_contrast_training.data.loading.progress import Bars
from perception_contrast_training.vectors.choose import beside
from perception_contrast_training.vectors.coverage import WITHIN, coverage, radii
from perception_contrast_training.vectors.frame_images import label_of, tiles_of
from perception_contrast_training.vectors.key_files import labelled_frames
from perception_contrast_training.vectors.neighbours import distance, nearest, units
from perception_contrast_training.vectors.outliers import outliers
from perception_contrast_training.vectors.vector_set import VectorSet, read_vectors

REPORT, PAGE = "report.json", "index.html"
_SHOWN = 48  # frames on a sheet
_LISTED = 1000  # frames of a kind in the report
_RADII = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_STYLE = (
    "body{font:16px sans-serif;max-width:1300px;margin:2em auto;padding:0 1em}img{max-width:100%}"
    "td,th{padding:.2em 1em;text-align:right}"
)


@dataclass(frozen=True)
class ReportOptions:
    """threshold: cosine from which frames are near-duplicates, None for the usual one. neighbours: for
    outliers. within: cosine from which a frame counts as covered, None for 0.9. labelled: whose coverage
    is measured. sheets: draw contact sheets."""

    threshold: float | None = None
    neighbours: int = 10
    within: float | None = None
    labelled: Path | None = None
    sheets: bool = True


@dataclass(frozen=True)
class Report:
    """lines: for people. page: what a browser shows. figures: as in report.json."""

    lines: tuple[str, ...]
    page: Path
    figures: dict[str, Any]


@dataclass
class _Section:
    """A part of the report. sheet: numbers and labels of the frames that are shown."""

    title: str
    lines: list[str]
    figures: dict[str, Any]
    sheet: dict[int, str]


def write_report(path: Path | str, out: Path | None, options: ReportOptions) -> Report:
    """Writes the report of a file of vectors into a folder. Raises PerceptionError."""
    vectors = read_vectors(path)
    limit = usual_threshold(vectors.space) if options.threshold is None else options.threshold
    within = WITHIN if options.within is None else options.within
    for name, value in (("--duplicates-from", limit), ("--radius", within)):
        if not 0 < value <= 1:
            raise PerceptionError(f"{name} {value} must be a cosine over 0 and at most 1")
    folder = out or beside(path, "report")
    require_writable(folder)  # the neighbours of many frames take hours
    with Bars("blocks") as bars:
        sections = [
            _duplicates(vectors, limit, bars),
            _outliers(vectors, options.neighbours, bars),
            _coverage(vectors, within, options.labelled),
        ]
    facts = {"vectors": str(path), "frames": len(vectors), "space": vectors.space}
    figures = facts | {one.title: one.figures for one in sections}
    if options.sheets:
        for one in sections:
            _draw(folder / f"{one.title}.png", vectors, one.sheet)
    atomic_write(folder / REPORT, (json.dumps(figures, indent=1) + "\n").encode())
    atomic_write(folder / PAGE, _page(facts, sections, options.sheets).encode())
    return Report(tuple(line for one in sections for line in one.lines), folder / PAGE, figures)


def _duplicates(vectors: VectorSet, limit: float, bars: Bars) -> _Section:
    tell = _tell(bars, "near-duplicates")
    owner, cosine, clusters = find_duplicates(_Units(vectors.vectors), limit, tell=tell)
    twice = np.flatnonzero(owner >= 0)
    names = vectors.names()
    sizes = np.bincount(clusters)[clusters]
    # The largest clusters first, each with the frame that is kept before its duplicates.
    order = np.lexsort((np.arange(len(owner)), owner >= 0, clusters, -sizes))
    shown = [int(one) for one in order if sizes[one] > 1][:_SHOWN]
    labels = {
        one: label_of(vectors, one, "kept" if owner[one] < 0 else f"{cosine[one]:.3f}") for one in shown
    }
    figures = {
        "threshold": limit,
        "duplicates": len(twice),
        "kept": len(owner) - len(twice),
        "clusters": len(np.unique(clusters)),
        "list": [
            {"frame": names[one], "duplicate_of": names[owner[one]], "cosine": round(float(cosine[one]), 5)}
            for one in twice[:_LISTED]
        ],
    }
    line = f"near-duplicates: {len(twice)} of {len(owner)} frames (cosine from {limit:g})"
    return _Section("duplicates", [line], figures, labels)


class _Units:
    """Rows as unit vectors when they are read: stored as float16, copies may miss a threshold."""

    def __init__(self, vectors: Any) -> None:
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._vectors)

    def __getitem__(self, rows: slice) -> Any:
        return units(self._vectors, rows.start or 0, rows.stop)


def _outliers(vectors: VectorSet, k: int, bars: Bars) -> _Section:
    cosines, numbers = nearest(vectors.vectors, k, tell=_tell(bars, "neighbours"))
    found, names = outliers(cosines, numbers), vectors.names()
    order = np.argsort(-found.lof, kind="stable")[:_LISTED]
    figures = {
        "neighbours": cosines.shape[1],
        "list": [
            {
                "frame": names[one],
                "local_outlier_factor": round(float(found.lof[one]), 4),
                "distance": round(float(found.knn[one]), 4),
            }
            for one in order
        ],
    }
    labels = {int(one): label_of(vectors, int(one), f"{found.lof[one]:.2f}") for one in order[:_SHOWN]}
    unlike = int((found.lof > 1.5).sum())
    line = f"outliers: {unlike} frames with a local outlier factor over 1.5"
    return _Section("outliers", [line], figures | {"over_1.5": unlike}, labels)


def _coverage(vectors: VectorSet, within: float, labelled: Path | None) -> _Section:
    most = min(len(vectors), _RADII[-1] if len(vectors) <= 100_000 else 100)
    curve = radii(vectors.vectors, most)
    counts = [count for count in _RADII if count <= most]
    figures: dict[str, Any] = {"radius_of_frames": {str(n): round(float(curve[n - 1]), 4) for n in counts}}
    lines = ["coverage: " + ", ".join(f"{n} frames within {curve[n - 1]:.2f}" for n in counts)]
    known = np.zeros(0, np.int64)
    if labelled is not None:
        known = labelled_frames(labelled, vectors)
        found = coverage(vectors.vectors, known, within)
        figures |= {
            "labelled": len(known), "radius": round(found.radius, 4), "mean_distance": round(found.mean, 4),
            "within": within, "share_within": round(found.share, 4),
        }  # fmt: skip
        lines.append(
            f"the {len(known)} labelled frames: {100 * found.share:.1f} % of the others within cosine "
            f"{within:g}, the farthest at distance {found.radius:.2f}, {found.mean:.2f} on average"
        )
        worst = np.argsort(found.cosines, kind="stable")[: min(_SHOWN, len(vectors) - len(known))]
        labels = {
            int(one): label_of(vectors, int(one), f"{float(distance(found.cosines[one])):.2f}")
            for one in worst
        }
        return _Section("coverage", lines, figures, labels)
    from perception_contrast_training.vectors.selection import k_centre

    alike = np.ones(len(vectors), np.float32)
    centres = k_centre(vectors.vectors, min(_SHOWN, len(vectors)), known, alike).numbers
    labels = {int(one): label_of(vectors, int(one), f"{rank}:") for rank, one in enumerate(centres, 1)}
    return _Section("coverage", lines, figures, labels)


def _tell(bars: Bars, stage: str) -> Any:
    return lambda done, total: bars.show_stage(stage, done, total)


def _draw(path: Path, vectors: VectorSet, labels: dict[int, str]) -> None:
    if labels:
        tiles = tiles_of(vectors, labels)
        save_image(path, sheet_of([tiles[number] for number in labels], 8))
    else:
        path.unlink(missing_ok=True)


_ABOUT = {
    "duplicates": "Frames that show what another frame shows already: largest groups first, each with the "
    "frame that would be kept before its duplicates and their cosine.",
    "outliers": "Frames unlike their neighbours, with their local outlier factor: rare things, damaged "
    "images, other cameras.",
    "coverage": "The frames that are farthest from all labelled ones, with that distance; without labelled "
    "frames, the ones that cover the data best, in their order.",
}


def _page(facts: dict[str, Any], sections: list[_Section], sheets: bool) -> str:
    parts = [f"<p>{html.escape(f'{key}: {value}')}</p>" for key, value in facts.items()]
    for one in sections:
        parts.append(f"<h2>{one.title}</h2><p>{_ABOUT[one.title]}</p>")
        parts += [f"<p>{html.escape(line)}</p>" for line in one.lines]
        if sheets and one.sheet:
            parts.append(f'<img src="{one.title}.png" alt="{one.title}">')
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Vectors of frames</title>'
        f"<style>{_STYLE}</style></head><body><h1>Vectors of frames</h1>\n{body}\n</body></html>\n"
    )
