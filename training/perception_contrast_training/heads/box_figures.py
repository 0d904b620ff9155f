"""How well boxes of several ways to find things agree with labelled frames: AP50, precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from perception_contrast.core.arrays import FloatBox
from perception_contrast.core.box_iou import box_iou
from perception_contrast_training.evaluation.figures import PrecisionRecall
from perception_contrast_training.evaluation.metrics.coco import CocoFigures
from perception_contrast_training.evaluation.readers.types import Mask, Thing

LEAST_OVERLAP = 0.5


@dataclass(frozen=True)
class Report:
    """A report in an image. box: x0, y0, x1, y1 in pixels. mask: (H, W), where masks are measured."""

    label: str
    box: FloatBox
    probability: float
    mask: Mask | None = None


@dataclass(frozen=True)
class ClassFigures:
    """Of one class. precision and recall are of what is reported by default, nan where there is nothing."""

    ap50: float
    precision: float
    recall: float
    truths: int


@dataclass
class BoxFigures:
    """Gathers images; figures over all of them.

    Attributes:
        names: Of the classes.
        threshold: Probability from which things are reported by default.
    """

    names: Sequence[str]
    threshold: float
    _coco: CocoFigures = field(init=False)
    _masks: bool = field(default=False, init=False)
    _default: dict[str, PrecisionRecall] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._coco = CocoFigures(self.names)
        self._default = {name: PrecisionRecall() for name in self.names}

    def add(self, size: tuple[int, int], things: Sequence[Thing], reports: Sequence[Report]) -> None:
        """One image of (height, width). reports: also those below the threshold."""
        self._coco.add_image(size)
        for thing in things:
            if thing.names[0] in self.names:
                self._coco.add_truth(thing.names[0], thing.mask, ignored=thing.ignored)
        for one in reports:
            self._masks |= one.mask is not None
            self._coco.add_prediction(one.label, one.mask, one.probability, one.box, size)
        for name in self.names:
            self._add_default(name, things, reports)

    def _add_default(self, name: str, things: Sequence[Thing], reports: Sequence[Report]) -> None:
        from perception_contrast_training.evaluation.readers.coco import boxes_of

        own = [thing for thing in things if thing.names[0] == name]
        found = [one for one in reports if one.label == name and one.probability >= self.threshold]
        true = boxes_of([thing.mask for thing in own]).astype(np.float32)
        boxes = np.array([one.box for one in found], np.float32).reshape(-1, 4)
        self._default[name].add(
            [one.probability for one in found],
            box_iou(boxes, true).astype(np.float64),
            [thing.ignored for thing in own],
            LEAST_OVERLAP,
        )

    def by_class(self) -> dict[str, ClassFigures]:
        """Of each class."""
        ap50 = self._coco.at_half("boxes")
        return {name: self._figures(self._default[name], ap50.get(name, float("nan"))) for name in self.names}

    def mean(self) -> ClassFigures:
        """AP50 as the mean over classes; precision and recall over all reports and things alike."""
        each = self.by_class().values()
        together = PrecisionRecall()
        for one in self._default.values():
            together.correct += one.correct
            together.truths += one.truths
        known = [one.ap50 for one in each if not np.isnan(one.ap50)]
        return self._figures(together, float(np.mean(known)) if known else float("nan"))

    def ap50_of_masks(self) -> float | None:
        """Mean over classes of AP50 of masks; None where none were given."""
        if not self._masks:
            return None
        values = list(self._coco.at_half("masks").values())
        return float(np.mean(values)) if values else None

    def matches(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) probabilities of all reports, and whether each found a thing."""
        found = self._coco.evaluate("boxes")[2]
        return found.probability, found.correct

    @staticmethod
    def _figures(counted: PrecisionRecall, ap50: float) -> ClassFigures:
        right, reports = sum(counted.correct), len(counted.correct)
        return ClassFigures(
            ap50,
            right / reports if reports else float("nan"),
            right / counted.truths if counted.truths else float("nan"),
            counted.truths,
        )
