"""Average precision as COCO defines it, counted by pycocotools (Lin et al., ECCV 2014)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatBox
from perception_contrast_training.evaluation.libraries import evaluation_library

Mask = NDArray[np.bool_]
KINDS = {"masks": "segm", "boxes": "bbox"}
# pycocotools' order of its summary.
STATISTICS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
AT_HALF = 0  # index of an overlap of 0.5 among its thresholds


@dataclass(frozen=True)
class Matches:
    """Every prediction at an overlap of 0.5: its probability (n,) and whether it found a truth (n,)."""

    probability: NDArray[np.float64]
    correct: NDArray[np.bool_]


@dataclass
class CocoFigures:
    """Gathers truths and predictions image by image, masks packed as run lengths."""

    names: Sequence[str]
    images: list[dict[str, Any]] = field(default_factory=list)
    truths: list[dict[str, Any]] = field(default_factory=list)
    predictions: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = {name: number for number, name in enumerate(self.names, 1)}

    def add_image(self, size: tuple[int, int]) -> None:
        """Opens the next image, of (height, width)."""
        self.images.append({"id": len(self.images) + 1, "height": size[0], "width": size[1]})

    def add_truth(self, label: str, mask: Mask, *, ignored: bool = False) -> None:
        """A thing of the open image; an ignored one counts neither for nor against."""
        entry = self._entry(label, mask) | {"id": len(self.truths) + 1, "iscrowd": int(ignored)}
        self.truths.append(entry)

    def add_prediction(
        self,
        label: str,
        mask: Mask | None,
        probability: float,
        box: FloatBox | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """A report in the open image.

        Args:
            label: Of the thing.
            mask: (H, W); None counts the box as the mask.
            probability: Of the report.
            box: x0, y0, x1, y1 in pixels; None for that of the mask.
            size: (height, width) of the image, where there is no mask.
        """
        if mask is None:
            assert box is not None and size is not None
            mask = np.zeros(size, bool)
            left, top, right, bottom = (max(0, round(edge)) for edge in box)
            mask[top:bottom, left:right] = True
        entry = self._entry(label, mask) | {"score": probability}
        if box is not None:
            entry["bbox"] = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
        self.predictions.append(entry)

    def merge(self, later: CocoFigures) -> None:
        """Adds the images of another, with the same names, behind those of this one."""
        images, truths = len(self.images), len(self.truths)
        self.images += [one | {"id": one["id"] + images} for one in later.images]
        self.truths += [
            one | {"id": one["id"] + truths, "image_id": one["image_id"] + images} for one in later.truths
        ]
        self.predictions += [one | {"image_id": one["image_id"] + images} for one in later.predictions]

    def _entry(self, label: str, mask: Mask) -> dict[str, Any]:
        packer = evaluation_library("pycocotools.mask")
        packed = packer.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {
            "image_id": len(self.images),
            "category_id": self._numbers[label],
            "segmentation": packed,
            "area": float(packer.area(packed)),
            "bbox": [float(value) for value in packer.toBbox(packed)],
        }

    def evaluate(self, kind: str) -> tuple[dict[str, float | None], dict[str, float], Matches]:
        """Statistics by name (None where the set has no such things), AP by class, and the matches.

        kind: of KINDS. Areas are COCO's: small below 32 x 32 pixels, large from 96 x 96.
        """
        evaluation = self._evaluation(KINDS[kind])
        summary = [None if value < 0 else float(value) for value in evaluation.stats]
        # (overlap, recall, class, area, most detections): -1 where a class has no truths.
        precision = evaluation.eval["precision"][:, :, :, 0, -1]
        by_class = {
            name: float(precision[:, :, index].mean())
            for index, name in enumerate(self.names)
            if (precision[:, :, index] > -1).all()
        }
        return dict(zip(STATISTICS, summary, strict=False)), by_class, _matches(evaluation)

    def at_half(self, kind: str) -> dict[str, float]:
        """AP at an overlap of 0.5 by class, of the classes that have things. kind: of KINDS."""
        precision = self._evaluation(KINDS[kind]).eval["precision"][AT_HALF, :, :, 0, -1]
        return {
            name: float(precision[:, index].mean())
            for index, name in enumerate(self.names)
            if (precision[:, index] > -1).all()
        }

    def _evaluation(self, kind: str) -> Any:
        coco, cocoeval = evaluation_library("pycocotools.coco"), evaluation_library("pycocotools.cocoeval")
        categories = [{"id": number, "name": name} for name, number in self._numbers.items()]
        with contextlib.redirect_stdout(io.StringIO()):
            truth = _indexed(coco, self.images, categories, self.truths)
            for number, entry in enumerate(self.predictions, 1):
                entry |= {"id": number, "iscrowd": 0}
            found = _indexed(coco, self.images, categories, self.predictions)
            evaluation = cocoeval.COCOeval(truth, found, kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation


def _indexed(
    coco: Any,
    images: list[dict[str, Any]],
    categories: list[dict[str, Any]],
    entries: list[dict[str, Any]],
) -> Any:
    """A data set that is not in a file."""
    made = coco.COCO()
    made.dataset = {"info": {}, "images": images, "categories": categories, "annotations": entries}
    made.createIndex()
    return made


def _matches(evaluation: Any) -> Matches:
    """Of all sizes, at most a hundred an image and class; matches with ignored truths are left out."""
    probability: list[float] = []
    correct: list[bool] = []
    everything = list(evaluation.params.areaRng[0])
    for one in evaluation.evalImgs:
        if one is None or list(one["aRng"]) != everything:
            continue
        counted: Mapping[int, bool] = dict(enumerate(~one["dtIgnore"][AT_HALF].astype(bool)))
        for index, score in enumerate(one["dtScores"]):
            if counted[index]:
                probability.append(float(score))
                correct.append(bool(one["dtMatches"][AT_HALF, index] > 0))
    return Matches(np.array(probability, float), np.array(correct, bool))
