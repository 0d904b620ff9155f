"""`embed select`: the frames to label next, as a list and a contact sheet."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import require_writable, writing
from perception_contrast.images.files import save_image
from perception_contrast_training.data.curation.contact_sheet import sheet_of
from perception_contrast_training.vectors.coverage import coverage
from perception_contrast_training.vectors.frame_images import label_of, tiles_of
from perception_contrast_training.vectors.key_files import labelled_frames, uncertainty
from perception_contrast_training.vectors.selection import CORESET, Chosen, choose
from perception_contrast_training.vectors.vector_set import VectorSet, read_vectors

LIST, SHEET, FIGURES = "selected.csv", "selected.png", "selected.txt"
_MOST_TILES = 240


@dataclass(frozen=True)
class ChooseOptions:
    """As of the command line of `embed select`."""

    count: int
    by: str = CORESET
    labelled: Path | None = None
    detections: Path | None = None
    seed: int = 0
    sheets: bool = True


def choose_frames(path: Path | str, out: Path | None, options: ChooseOptions) -> list[Path]:
    """Writes the list and the sheet of the chosen frames; gives their paths.

    Args:
        path: Of the vectors.
        out: Folder; None for NAME_selected beside a file, or here for one in a bucket.
        options: Which and how many.

    Raises:
        PerceptionError: A file cannot be read, or all frames are labelled.
    """
    vectors = read_vectors(path)
    folder = out or beside(path, "selected")
    require_writable(folder)
    known = np.zeros(0, np.int64)
    if options.labelled is not None:
        known = labelled_frames(options.labelled, vectors)
    weights = None
    if options.detections is not None:
        # Between one half and one and a half: certain frames are still wanted where nothing is known.
        weights = (0.5 + uncertainty(options.detections, vectors)).astype(np.float32)
    if len(known) >= len(vectors):
        raise PerceptionError(f"all {len(vectors)} frames are labelled already; embed more data")
    found = choose(
        vectors.vectors, options.count, options.by, labelled=known, weights=weights, seed=options.seed
    )
    written = [_write_list(folder / LIST, vectors, found)]
    if options.sheets:
        written.append(_write_sheet(folder / SHEET, vectors, found))
    before = coverage(vectors.vectors, known).radius if len(known) else None
    after = coverage(vectors.vectors, np.concatenate([known, found.numbers])).radius
    written.append(_write_figures(folder / FIGURES, found, before, after))
    return written


def beside(path: Path | str, what: str) -> Path:
    """The usual folder for results about a file of vectors."""
    given = Path(str(path).rstrip("/"))
    name = f"{given.stem}_{what}"
    return given.with_name(name) if given.exists() else Path(name)


def _write_list(path: Path, vectors: VectorSet, found: Chosen) -> Path:
    columns = ("source", "key", "index", "stamp", "topic")
    with writing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("rank", *columns, "score"))
        for rank, (number, score) in enumerate(zip(found.numbers, found.scores, strict=True), 1):
            values = [vectors.rows[name][int(number)].as_py() for name in columns]
            writer.writerow((rank, *("" if one is None else one for one in values), f"{score:.6g}"))
    return path


def _write_sheet(path: Path, vectors: VectorSet, found: Chosen) -> Path:
    shown = [int(number) for number in found.numbers[:_MOST_TILES]]
    labels = {number: label_of(vectors, number, f"{rank}:") for rank, number in enumerate(shown, 1)}
    tiles = tiles_of(vectors, labels)
    save_image(path, sheet_of([tiles[number] for number in shown], 8))
    return path


def _write_figures(path: Path, found: Chosen, before: float | None, after: float) -> Path:
    lines = [f"{len(found.numbers)} frames chosen"]
    if before is not None:
        lines.append(f"largest distance of any frame to a labelled one before: {before:.4f}")
    lines.append(f"largest distance of any frame to a labelled or chosen one: {after:.4f}")
    with writing(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
