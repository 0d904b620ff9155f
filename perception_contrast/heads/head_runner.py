"""HeadRunner: a head on a device, from the features of a frame to detections and labelled pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, FeatureArray, FloatArray, Size
from perception_contrast.core.detection import Detection, Scores
from perception_contrast.core.errors import SpaceError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.heads.detection_decoding import found_boxes, masks_of
from perception_contrast.heads.head_card import HeadCard, Source
from perception_contrast.heads.head_files import Head
from perception_contrast.segmentation.masks.box_mask import BoxMask, tight_box_mask
from perception_contrast.segmentation.regions.region_pooling import pool_regions

NONE = -1  # of pixels without a class
LEAST_SHARE = 1e-3  # of an image's pixels; a patch of colour that is smaller is no report


@dataclass(frozen=True)
class HeadResult:
    """What a head says of one image.

    Attributes:
        detections: Best first: things of a detection head, connected regions of a segmentation head, and
            of a classification head the whole image.
        labelled: (H, W) int32 index of the class of each pixel, NONE elsewhere; None of a classification.
    """

    detections: tuple[Detection, ...]
    labelled: NDArray[np.int32] | None


def require_space(card: HeadCard, name: str, spaces: Mapping[Source, str]) -> None:
    """Refuses a head for an encoder that it was not trained on.

    Args:
        card: Of the head.
        name: Of the head, for the error.
        spaces: Of the features that are served, by their source.

    Raises:
        SpaceError: The spaces differ.
    """
    space = spaces.get(card.source, "")
    if card.space != space:
        role = "language_model" if card.source == "language" else "model"
        raise SpaceError(
            f"head '{name}' was trained on features of {card.space}, and {role} serves {space or 'none'}; "
            f"serve that model, or train a head on the one that is served"
        )


class HeadRunner:
    """A head on a device. Any thread may call.

    Args:
        head: That was read.
        device: As torch names it.
    """

    def __init__(self, head: Head, device: str | torch.device = "cpu") -> None:
        self.name, self.card = head.name, head.card
        self._network = head.network.to(device)
        self._device = torch.device(device)

    @property
    def pools(self) -> bool:
        """Whether it needs the encoder's vector of the whole image."""
        return self.card.task == "classification"

    def __call__(
        self,
        features: FeatureGrid,
        pooled: FloatArray | None = None,
        cues: FloatArray | None = None,
        thresholds: FloatArray | None = None,
        most: int = 100,
    ) -> HeadResult:
        """What the head says of an image.

        Args:
            features: Of the image, of the encoder that the head was trained on.
            pooled: (c,) the encoder's vector of the whole image, where ``pools``.
            cues: (h, w, CUES) instance cues, where the card has them.
            thresholds: (k,) probability from which things of each class are reported; None for the head's
                own.
            most: Detections at most.

        Raises:
            SpaceError: The features are of another encoder.
        """
        require_space(self.card, self.name, {self.card.source: features.space})
        least = thresholds
        if least is None:
            least = np.full(len(self.card.classes), self.card.threshold, np.float32)
        if self.card.task == "classification":
            return self._classified(features, pooled, least, most)
        values = torch.from_numpy(head_input(self.card, features.values, cues))[None].to(self._device)
        with torch.inference_mode():
            outputs = self._network(values)
        if self.card.task == "segmentation":
            return self._segmented(outputs[0], features, least, most)
        rows, columns, _ = features.shape
        enlargement = self.card.settings.enlargement
        found = found_boxes(outputs, (rows, columns), enlargement, self.card.calibration, least, most)
        masks = masks_of(
            found,
            outputs,
            (rows, columns),
            enlargement,
            features.image_size,
            learned=bool(self.card.facts.get("outlines")),
        )
        drawn = [(label, float(p), mask) for label, p, mask in zip(
            found.labels.tolist(), found.probabilities, masks, strict=True) if mask is not None]  # fmt: skip
        labelled = np.full(features.image_size, NONE, np.int32)
        for label, _, (box, mask) in reversed(drawn):
            labelled[box[1] : box[3], box[0] : box[2]][mask] = label
        return HeadResult(self._detections(drawn, features), labelled)

    def _segmented(
        self, logits: torch.Tensor, features: FeatureGrid, thresholds: FloatArray, most: int
    ) -> HeadResult:
        """logits: (classes + 1, h, w), the last of no class."""
        size = features.image_size
        share = class_shares(logits, self.card.temperature, size)
        best = share.argmax(axis=0)
        probability = np.take_along_axis(share, best[None], axis=0)[0]
        none = len(self.card.classes)
        labelled = np.where(best == none, NONE, best).astype(np.int32)
        drawn: list[tuple[int, float, BoxMask]] = []
        for label in np.unique(labelled[labelled != NONE]).tolist():
            drawn += [
                (label, mean, region)
                for region, mean in _regions(labelled == label, probability)
                if mean >= thresholds[label]
            ]
        drawn.sort(key=lambda one: -one[1])
        shown = np.full(size, NONE, np.int32)
        for label, _, (box, mask) in drawn:
            shown[box[1] : box[3], box[0] : box[2]][mask] = label
        return HeadResult(self._detections(drawn[:most], features), shown)

    def _classified(
        self, features: FeatureGrid, pooled: FloatArray | None, thresholds: FloatArray, most: int
    ) -> HeadResult:
        if pooled is None:
            raise ValueError("a classification head needs the encoder's vector of the whole image")
        row = torch.from_numpy(pooled_features(features, pooled))[None].to(self._device)
        with torch.inference_mode():
            logits = self._network(row)[0].float() / self.card.temperature
            share = logits.sigmoid() if self.card.settings.several else logits.softmax(dim=0)
        probabilities = share.cpu().numpy()
        height, width = features.image_size
        whole = BoxMask((0, 0, width, height), np.ones((height, width), bool))
        drawn = [
            (int(label), float(probabilities[label]), whole)
            for label in np.argsort(-probabilities)[:most]
            if probabilities[label] >= thresholds[label]
        ]
        return HeadResult(self._detections(drawn, features), None)

    def _detections(
        self, drawn: Sequence[tuple[int, float, BoxMask]], features: FeatureGrid
    ) -> tuple[Detection, ...]:
        if not drawn:
            return ()
        values = np.asarray(features.unit().values, np.float32)
        vectors = pool_regions([region for _, _, region in drawn], features.image_size, values)
        return tuple(
            Detection(
                self.card.classes[label],
                Scores(0.0, 0.0, probability),
                region.box,
                region.mask,
                vector,
                features.space,
            )
            for (label, probability, region), vector in zip(drawn, vectors, strict=True)
        )


def head_input(card: HeadCard, values: FeatureArray, cues: FloatArray | None) -> FloatArray:
    """(h, w, dim) float32 that a head sees: a grid, and the instance cues behind it.

    Args:
        card: Of the head.
        values: (h, w, c).
        cues: (h, w, CUES), where the card has them.
    """
    if not card.cues:
        return np.asarray(values, np.float32)
    if cues is None:
        raise ValueError("the head needs the instance cues of the frame")
    return np.concatenate([values, cues], axis=-1, dtype=np.float32)


def class_shares(logits: torch.Tensor, temperature: float, size: Size) -> FloatArray:
    """(k, H, W) probabilities of each pixel of an image of ``size``, of logits (k, h, w) that cover it."""
    large = torch.nn.functional.interpolate(logits[None].float() / temperature, size=size, mode="bilinear")[0]
    return np.asarray(large.softmax(dim=0).cpu().numpy(), np.float32)


def pooled_features(features: FeatureGrid, pooled: FloatArray) -> FloatArray:
    """(2 c,) float32: the encoder's vector of the image, and the mean of its patches."""
    mean = np.asarray(features.values, np.float32).mean(axis=(0, 1))
    return np.concatenate([np.asarray(pooled, np.float32), mean])


def _regions(mask: BoolMask, probability: FloatArray) -> list[tuple[BoxMask, float]]:
    """The connected regions of a mask (H, W) with the mean probability of their pixels."""
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    found = []
    for number in range(1, count):
        if stats[number, cv2.CC_STAT_AREA] < LEAST_SHARE * mask.size:
            continue
        left, top, wide, high = (int(value) for value in stats[number, :4])
        window = np.s_[top : top + high, left : left + wide]
        region = tight_box_mask((left, top, left + wide, top + high), numbers[window] == number)
        assert region is not None
        found.append((region, float(probability[window][region.mask].mean())))
    return found
