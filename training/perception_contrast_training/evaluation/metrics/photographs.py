"""Figures on labelled photographs, where of some words nothing is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit

from perception_contrast.core.detection import Detection
from perception_contrast_training.evaluation.figures import Mask, PrecisionRecall, iou, placed
from perception_contrast_training.evaluation.metrics.confusion import ConfusionMatrix
from perception_contrast_training.evaluation.metrics.presence import reported, threshold_for
from perception_contrast_training.evaluation.metrics.ranking import roc_auc
from perception_contrast_training.evaluation.metrics.reliability import expected_calibration_error
from perception_contrast_training.photographs.base import LEAST_SHARE, LabelledPhoto
from perception_contrast_training.photographs.naming import Truth

RECALL = 0.9  # of present names, at which absent ones are counted
INSIDE = 0.5  # share of a detection's known pixels on what it names, from which it is right
LEAST_KNOWN = (
    0.5  # share of a detection's pixels of which something is known, without which it does not count
)


@dataclass(frozen=True)
class PhotoTruth:
    """What is known of all names in a photograph.

    Attributes:
        photo: The photograph.
        table: (1 + regions, names) ``Truth``.
        present: (names,) ``Truth`` of the whole photograph.
    """

    photo: LabelledPhoto
    table: NDArray[np.int8]
    present: NDArray[np.int8]

    def pixels(self, name: int) -> NDArray[np.int8]:
        """(H, W) ``Truth`` of a name."""
        return np.asarray(self.table[self.photo.numbers, name])


@dataclass
class PhotoFigures:
    """Gathers photographs of one set.

    Attributes:
        names: What is asked for, all of it in each photograph.
        published: Probability from which the pipeline reports a region.
        learned: Those of ``names`` that the model learned, where that is known: figures of the others are
            given apart.
    """

    names: Sequence[str]
    published: float
    learned: frozenset[str] | None = None
    images: int = 0
    _overlaps: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _present: list[float] = field(default_factory=list)
    _absent: list[float] = field(default_factory=list)
    _precision: dict[str, PrecisionRecall] = field(default_factory=lambda: defaultdict(PrecisionRecall))
    _judged: list[tuple[float, bool]] = field(default_factory=list)
    _named: list[tuple[bool, bool]] = field(default_factory=list)  # right, of a name that was learned
    _found: list[bool] = field(default_factory=list)
    _fired: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._confusion = ConfusionMatrix(len(self.names))

    def add_pixels(self, truth: PhotoTruth, logits: NDArray[np.float32], mask_logit: float) -> None:
        """Adds the logits of all names, the highest of which says how surely a name is there.

        Args:
            truth: Of the photograph.
            logits: (names, h, w) of the photograph's aspect, of any resolution.
            mask_logit: From which a pixel belongs to a name.
        """
        cells = nearest(truth.photo.numbers, (logits.shape[1], logits.shape[2]))
        highest = expit(logits.max(axis=(1, 2)).astype(np.float64))
        self._present += highest[truth.present == Truth.TRUE].tolist()
        self._absent += highest[truth.present == Truth.FALSE].tolist()
        for name in np.nonzero(truth.present == Truth.TRUE)[0].tolist():
            wanted = truth.table[cells, name]
            known = wanted != Truth.UNKNOWN
            if (wanted == Truth.TRUE).any():
                chosen = (logits[name] >= mask_logit) & known
                self._overlaps[self.names[name]].append(iou(chosen, wanted == Truth.TRUE))
        column = {name: index for index, name in enumerate(self.names)}
        labels = np.full(1 + len(truth.photo.regions), -1)
        for index, region in enumerate(truth.photo.regions):
            labels[index + 1] = column.get(region.name, -1)
        self._confusion.add(labels[cells], logits.argmax(axis=0))

    def add_detections(self, truth: PhotoTruth, detections: Sequence[Detection]) -> None:
        """Adds all regions of any probability, of all names asked for at once."""
        self.images += 1
        size = (truth.photo.image.shape[0], truth.photo.image.shape[1])
        by_name: dict[str, list[tuple[Mask, float]]] = defaultdict(list)
        for detection in detections:
            by_name[detection.label].append((placed(detection, size), detection.scores.probability))
        fired = 0
        for number, name in enumerate(self.names):
            found = by_name.get(name, [])
            if truth.present[number] == Truth.FALSE:
                fired += any(probability >= self.published for _, probability in found)
            if found or truth.present[number] == Truth.TRUE:
                self._add_regions(truth, number, found)
        self._fired.append(fired)

    def add_names(self, truth: PhotoTruth, cosines: NDArray[np.float32]) -> None:
        """Adds the names of regions given by their exact masks.

        Args:
            truth: Of the photograph.
            cosines: (regions, names); a row of nan for a region that is too small.
        """
        for row, values in zip(truth.table[1:], cosines, strict=True):
            if np.isnan(values).any() or not (row == Truth.TRUE).any():
                continue
            best = int(np.where(row == Truth.UNKNOWN, -np.inf, values).argmax())
            true = np.flatnonzero(row == Truth.TRUE)
            known = any(self._knows(self.names[int(name)]) for name in true)
            self._named.append((bool(row[best] == Truth.TRUE), known))

    def merge(self, later: PhotoFigures) -> None:
        """Adds the photographs of another, with the same names, behind those of this one."""
        self.images += later.images
        for name, overlaps in later._overlaps.items():
            self._overlaps[name] += overlaps
        for name, precision in later._precision.items():
            self._precision[name].merge(precision)
        self._present += later._present
        self._absent += later._absent
        self._judged += later._judged
        self._named += later._named
        self._found += later._found
        self._fired += later._fired
        self._confusion.merge(later._confusion)

    def _knows(self, name: str) -> bool:
        return self.learned is None or name in self.learned

    def _add_regions(self, truth: PhotoTruth, number: int, found: Sequence[tuple[Mask, float]]) -> None:
        known = truth.pixels(number)
        area = known == Truth.TRUE
        judged = [(probability, *_inside(mask, known)) for mask, probability in found]
        self._judged += [(p, right >= INSIDE) for p, right, sure in judged if sure >= LEAST_KNOWN]
        parts = _parts(truth, number, area)
        # What is reported where nothing is known counts neither way.
        counted = [item for item, (_, _, sure) in zip(found, judged, strict=True) if sure >= LEAST_KNOWN]
        overlaps = np.array([[iou(mask, part) for part in parts] for mask, _ in counted])
        ignored = [float(part.mean()) < LEAST_SHARE for part in parts]
        self._precision[self.names[number]].add(
            [p for _, p in counted], overlaps.reshape(len(counted), len(parts)), ignored, 0.5
        )
        shown = [mask for mask, p in found if p >= self.published]
        covered = np.any(shown, axis=0) if shown else np.zeros_like(area)
        self._found += [
            bool((covered & part).sum() >= INSIDE * part.sum())
            for part, small in zip(parts, ignored, strict=True)
            if not small
        ]

    def figures(self) -> dict[str, Any]:
        """By the names of docs/evaluate.md; nan for what cannot be computed."""
        threshold = threshold_for(self._present, RECALL)
        published = [right for p, right in self._judged if p >= self.published]
        precisions = [p.average_precision() for p in self._precision.values() if p.truths]
        chances = np.array([p for p, _ in self._judged], float)
        return {
            "images": self.images,
            "names": len(self.names),
            "precision": float(np.mean(published)) if published else float("nan"),
            "recall": float(np.mean(self._found)) if self._found else float("nan"),
            "false_names_per_image": float(np.mean(self._fired)) if self._fired else float("nan"),
            "present_iou": _mean([float(np.mean(v)) for v in self._overlaps.values()]),
            "miou": self._confusion.mean_iou(),
            "ap50": _mean(precisions),
            "presence_auc": roc_auc(self._present, self._absent),
            "absent_at_recall": float("nan") if threshold is None else reported(self._absent, threshold),
            "region_naming": _mean([float(right) for right, _ in self._named]),
            "new_names": sum(not self._knows(name) for name in self._overlaps),
            "new_present_iou": _mean(
                [float(np.mean(v)) for name, v in self._overlaps.items() if not self._knows(name)]
            ),
            "new_region_naming": _mean([float(right) for right, known in self._named if not known]),
            "calibration_error": expected_calibration_error(
                chances, np.array([right for _, right in self._judged], bool)
            ),
            "published_threshold": self.published,
            "present_iou_by_name": {n: float(np.mean(v)) for n, v in sorted(self._overlaps.items())},
        }


def nearest(numbers: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(h, w) numbers at the middles of the cells of a grid over an image (H, W)."""
    rows, columns = (
        ((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(size, numbers.shape, strict=True)
    )
    return numbers[np.ix_(rows, columns)]


def _inside(mask: Mask, known: NDArray[np.int8]) -> tuple[float, float]:
    """Share of a mask's known pixels that are right, and share of its pixels that are known."""
    values = known[mask]
    sure = values != Truth.UNKNOWN
    right = float(np.mean(values[sure] == Truth.TRUE)) if sure.any() else 0.0
    return right, float(np.mean(sure)) if len(values) else 0.0


def _parts(truth: PhotoTruth, number: int, area: Mask) -> list[Mask]:
    """What is to be found of a name: each thing, and each connected piece of the rest."""
    things = [
        truth.photo.numbers == index + 1
        for index, region in enumerate(truth.photo.regions)
        if region.thing and truth.table[index + 1, number] == Truth.TRUE
    ]
    rest = area & ~np.any(things, axis=0) if things else area
    pieces, count = ndimage.label(rest)
    return [*things, *(pieces == index + 1 for index in range(count))]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
