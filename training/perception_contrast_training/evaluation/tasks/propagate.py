"""Features alone over time: labels of a first frame that are followed, and the same places found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.frame import Frame
from perception_contrast.pipeline.output_request import OutputRequest
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast_training.cli.eval_options import Job, Options, pipeline_of
from perception_contrast_training.evaluation.figures import iou
from perception_contrast_training.evaluation.metrics.boundary import boundary_f
from perception_contrast_training.evaluation.metrics.correspondence import (
    matching_errors,
    pck,
    random_homography,
    warped,
)
from perception_contrast_training.evaluation.metrics.propagation import (
    LabelPropagation,
    Protocol,
    labels_of,
    shares_of,
)
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.evaluation.readers.marks import first_labels
from perception_contrast_training.evaluation.readers.types import IGNORED, Image
from perception_contrast_training.evaluation.readers.videos import FrameSequence
from perception_contrast_training.evaluation.report import Cell, Outcome, Table
from perception_contrast_training.evaluation.result_images import tiled, tinted

SHOWN = 15  # frames on the sheet
NOT_MARKED = (
    "nothing was marked in the first frame (labels/, --start-mask or --start-box), so nothing was followed"
)
NO_TRUTH = "the frames after the first have no labels, so J and F cannot be measured; look at the overlays"
Labels = NDArray[np.int64]


def propagate(job: Job) -> Outcome:
    """J&F where the frames have labels, overlays where something was marked, PCK in any case.

    Raises PerceptionError.
    """
    options = job.options
    sequence = FrameSequence(Path(options.data), job.skipped, options.topic, options.limit)
    pipeline = pipeline_of(job, words=False)
    followed, places = _Followed(options, sequence), _Places(options, pipeline, len(sequence))
    for name, frame in tracked(sequence, "following", len(sequence)):
        grid = features_of(pipeline, frame)
        followed.add(name, frame, grid)
        places.add(frame, grid)
    if not followed.frames:
        raise PerceptionError("no frame could be read; nothing was measured")
    rows = [*followed.rows(), *places.rows(), ("frames", followed.frames)]
    figures = {**followed.figures(), **places.figures(), "frames": followed.frames}
    table = Table("Features over time", ("figure", "value"), rows)
    return Outcome(figures, [table], followed.images(), [*followed.notes(), *sequence.lost])


def features_of(pipeline: Pipeline, frame: Frame) -> FeatureGrid:
    """What the node publishes as features."""
    grid = pipeline.process(frame, OutputRequest(features=True)).features
    assert grid is not None
    return grid


class _Followed:
    """Labels of the first frame in all the others, and how well they agree with those that are known."""

    def __init__(self, options: Options, sequence: FrameSequence) -> None:
        self.frames = 0
        self._options, self._sequence = options, sequence
        self._ids: list[int] = []
        self._propagation: LabelPropagation | None = None
        self._size = (0, 0)
        # Of each frame with labels: J and F of each thing.
        self._scores: list[tuple[list[float], list[float]]] = []
        self._overlays: dict[str, Image] = {}

    def add(self, name: str, frame: Frame, grid: FeatureGrid) -> None:
        """The next frame; the first says what is followed. Raises PerceptionError for another size."""
        self.frames += 1
        values = np.asarray(grid.values, np.float32)
        if self.frames == 1:
            self._start(name, frame, values)
            return
        if frame.size != self._size:
            raise PerceptionError(
                f"frame '{name}' is {frame.size[1]}x{frame.size[0]}, the first "
                f"{self._size[1]}x{self._size[0]}; frames of one sequence must have one size"
            )
        if self._propagation is None:
            return
        found = labels_of(self._propagation(values), frame.size)
        self._compare(self._sequence.labels(name, frame.size), found)
        self._show(name, frame, found)

    def _start(self, name: str, frame: Frame, values: NDArray[np.float32]) -> None:
        self._size = frame.size
        marked = first_labels(
            frame,
            self._sequence.labels(name, frame.size),
            self._options.start_mask,
            self._options.start_boxes,
        )
        if marked is None:
            return
        self._ids = [int(number) for number in np.unique(marked[marked > 0])]
        indices = np.searchsorted(self._ids, np.maximum(marked, 0), side="right")
        shares = shares_of(indices, (values.shape[0], values.shape[1]), len(self._ids) + 1)
        self._propagation = LabelPropagation(values, shares, Protocol())
        self._show(name, frame, indices)

    def _compare(self, truth: Labels | None, found: Labels) -> None:
        if truth is None:
            return
        counted = truth != IGNORED
        masks = [(truth == number, (found == index) & counted) for index, number in enumerate(self._ids, 1)]
        outlines = [boundary_f(true, seen, ignored=~counted) for true, seen in masks]
        self._scores.append(([iou(true, seen) for true, seen in masks], outlines))

    def _show(self, name: str, frame: Frame, found: Labels) -> None:
        if self._options.draw:
            self._overlays[name] = tinted(frame.image, found - 1)

    def figures(self) -> dict[str, object]:
        """By the names of docs/evaluate.md; J and F as DAVIS takes them, without the last frame."""
        if not self._scores:
            return {"j": None, "f": None, "j_and_f": None, "things": len(self._ids)}
        counted = self._scores[:-1] or self._scores
        regions, outlines = (float(np.mean([frame[part] for frame in counted])) for part in (0, 1))
        return {
            "j": regions,
            "f": outlines,
            "j_and_f": (regions + outlines) / 2,
            "things": len(self._ids),
            "frames_with_labels": len(self._scores),
        }

    def rows(self) -> list[tuple[str, Cell]]:
        figures = self.figures()
        names = {"J&F": "j_and_f", "J (overlap of regions)": "j", "F (agreement of outlines)": "f"}
        values = {name: figures[key] for name, key in names.items()}
        return [(name, value if isinstance(value, float) else None) for name, value in values.items()]

    def images(self) -> dict[str, Image]:
        """An overlay of each frame, and some of them on one sheet."""
        images = {f"overlay_{name}.png": image for name, image in self._overlays.items()}
        if images:
            step = -(-len(images) // SHOWN)
            images["sheet.png"] = tiled(list(self._overlays.items())[::step])
        return images

    def notes(self) -> list[str]:
        if self._propagation is None:
            return [NOT_MARKED]
        return [] if self._scores else [NO_TRUTH]


class _Places:
    """Frames that are seen again through random homographies."""

    def __init__(self, options: Options, pipeline: Pipeline, frames: int) -> None:
        """frames: how many will come, 0 if that is not known; then the first ones are taken."""
        self._pipeline, self._rng = pipeline, np.random.default_rng(options.seed)
        self._most = options.homographies
        self._every = max(1, frames // self._most) if self._most else 0
        self._seen = 0
        self._errors: list[NDArray[np.float64]] = []

    def add(self, frame: Frame, grid: FeatureGrid) -> None:
        if len(self._errors) < self._most and self._seen % self._every == 0:
            homography = random_homography(self._rng, frame.size)
            again = features_of(self._pipeline, Frame(warped(frame.image, homography)))
            self._errors.append(matching_errors(grid, again, homography))
        self._seen += 1

    def figures(self) -> dict[str, object]:
        """PCK over all cells of all images; the median distance, a share of the longer side."""
        if not self._errors:
            return {"homographies": 0}
        errors = np.concatenate(self._errors)
        return {**pck(errors), "median_error": float(np.median(errors)), "homographies": len(self._errors)}

    def rows(self) -> list[tuple[str, Cell]]:
        if not self._errors:
            return []
        found = pck(np.concatenate(self._errors))
        return [(f"{name}, {len(self._errors)} homographies", value) for name, value in found.items()]
