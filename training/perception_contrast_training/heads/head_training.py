"""Trains a head on labelled frames: features once, folds for the calibration, then all frames."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from perception_contrast.core.box_iou import box_iou
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import require_writable
from perception_contrast.heads.detection_decoding import found_boxes
from perception_contrast.heads.head_card import (
    LEAST_SHORT_SIDE,
    MOST_SHORT_SIDE,
    HeadCard,
    HeadSettings,
    ScoreCalibration,
    Task,
)
from perception_contrast.heads.head_files import HEAD_FILE, write_head
from perception_contrast_training.evaluation.figures import PrecisionRecall
from perception_contrast_training.evaluation.readers.coco import HUMAN
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.evaluation.report import write_json
from perception_contrast_training.heads.calibrating import (
    best_threshold,
    fitted_calibration,
    fitted_temperature,
    folds,
)
from perception_contrast_training.heads.few_shot import some_boxes
from perception_contrast_training.heads.fitting import FitSettings, fit_classification, fit_dense
from perception_contrast_training.heads.frame_features import FrameEncoder, FrameFeatures
from perception_contrast_training.heads.labelled_frames import (
    IGNORED,
    LabelledData,
    LabelledFrame,
    open_labelled,
)
from perception_contrast_training.heads.training_samples import FrameLabels, Sample, labels_of, sample_of

logger = logging.getLogger(__name__)

REPORT = "head.json"  # beside the head
MOST_BYTES = 4 << 30  # of features in memory
FOLD_SHARE = 0.6  # of the steps, in a fold: it sees fewer frames
LEAST_FRAMES = 2
_LOWEST = 0.02  # score from which reports are calibrated
_KEPT_LOGITS = 50_000  # locations of held-out frames that a temperature is fitted to
Say = Callable[[str], None]


@dataclass(frozen=True)
class HeadRequest:
    """What is to be trained.

    Attributes:
        data: Labelled frames, of one of the layouts of ``labelled_frames``.
        task: Of the head.
        output: Folder of the run.
        model: The encoder of images: a name, or a folder such as an adapted run's export.
        language_model: Whose grid the head sees, as it is served; "none" for that of ``model``.
        classes: That are wanted; none for all of the data.
        frames: To train on, drawn by ``seed``; 0 for all.
        boxes: Of each class, of these frames; 0 for all. Few-shot mode.
        listed: A file with the names of the only frames that may be trained on.
        short_side: Of the network's input in pixels.
        folds: By which the probabilities are fitted; below 2 for none.
        settings: Of the layers.
        fit: Of the optimiser.
        images: Folder of a COCO file's images.
        source: HUMAN, or MODEL for labels of `data autolabel`.
        device: As ``build`` takes it.
        offline: Download nothing.
        replace: Put the head in the place of one that is there.
    """

    data: Path
    task: Task
    output: Path
    model: str = "dinov2-s14"
    language_model: str = "household-lit"
    classes: tuple[str, ...] = ()
    frames: int = 0
    boxes: int = 0
    listed: Path | None = None
    short_side: int = 378
    folds: int = 3
    settings: HeadSettings = field(default_factory=HeadSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    images: Path | None = None
    source: str = HUMAN
    device: str = "auto"
    offline: bool = False
    replace: bool = False


@dataclass(frozen=True)
class TrainedHead:
    """file: of the head. card: what stands in it. report: what REPORT holds."""

    file: Path
    card: HeadCard
    report: dict[str, Any]


@dataclass(frozen=True)
class _Encoded:
    """A frame's labels and its features."""

    labels: FrameLabels
    plain: FrameFeatures


def drawn_frames(data: LabelledData, frames: int, seed: int, listed: Path | None = None) -> list[int]:
    """Places of the frames that are trained on, in the order of the data.

    Args:
        data: All labelled frames.
        frames: How many, drawn by ``seed``; 0 for all.
        seed: Of the draw.
        listed: A file with the names of the only frames that may be drawn, a line each; None for all.

    Raises:
        PerceptionError: There are fewer frames, or the file names others.
    """
    allowed = list(range(len(data.keys))) if listed is None else _listed(data, listed)
    if frames > len(allowed):
        raise PerceptionError(
            f"'{listed or data.path}' has {len(allowed)} labelled frames, fewer than --frames {frames}"
        )
    order = np.random.default_rng(seed).permutation(len(allowed))
    return sorted(allowed[place] for place in order[: frames or None].tolist())


def _listed(data: LabelledData, file: Path) -> list[int]:
    try:
        names = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise PerceptionError(f"the list of frames '{file}' cannot be read: {error}") from error
    places = {key: place for place, key in enumerate(data.keys)}
    unknown = [name for name in names if name not in places]
    if unknown or not names:
        what = f"'{unknown[0]}', which '{data.path}' has not" if unknown else "no frame"
        raise PerceptionError(f"'{file}' names {what}; write names such as '{data.keys[0]}', a line each")
    return sorted({places[name] for name in names})


def train_head(request: HeadRequest, say: Say) -> TrainedHead:
    """Trains a head and writes it.

    Args:
        request: What is to be trained.
        say: Gets a line for each step of the work.

    Raises:
        PerceptionError: The data or the options do not fit; nothing that was there is changed.
    """
    started = time.monotonic()
    file = request.output / HEAD_FILE
    if file.exists() and not request.replace:
        raise PerceptionError(f"'{file}' is there already; name another --out, or give --replace")
    if request.boxes and request.task != "detection":
        raise PerceptionError(f"--boxes counts boxes, and --task {request.task} has none; leave it out")
    if not LEAST_SHORT_SIDE <= request.short_side <= MOST_SHORT_SIDE:
        raise PerceptionError(
            f"--short-side {request.short_side} is not from {LEAST_SHORT_SIDE} to {MOST_SHORT_SIDE} pixels; "
            "378 is what a node serves"
        )
    skipped = Skipped()
    data = open_labelled(
        request.data, request.task, request.classes, skipped, images=request.images, source=request.source
    )
    places = drawn_frames(data, request.frames, request.fit.seed, request.listed)
    require_writable(request.output)  # before the hours of work whose result goes there
    encoder = FrameEncoder(
        request.model, request.language_model, request.task, request.device, offline=request.offline
    )
    try:
        encoded = _encoded(request, data, places, encoder, say)
        card = _first_card(request, data, encoder, encoded)
        texts = encoder.name_vectors(data.classes)
        trainer = _TRAINERS[request.task](request, card, encoded, encoder.device, say, texts)
        card, network = trainer.trained()
    finally:
        encoder.close()
    card = replace(card, facts=dict(card.facts) | {"seconds": round(time.monotonic() - started)})
    report = {
        "card": {**asdict(card), "facts": dict(card.facts)},
        "data": str(request.data),
        "frames": [one.labels.key for one in encoded],
        "boxes": request.boxes,
        "seed": request.fit.seed,
        "held_out": trainer.figures,
        "left_out": skipped.files,
    }
    write_head(file, card, network)
    write_json(request.output / REPORT, report)
    return TrainedHead(file, card, report)


def _encoded(
    request: HeadRequest, data: LabelledData, places: Sequence[int], encoder: FrameEncoder, say: Say
) -> list[_Encoded]:
    found: list[_Encoded] = []
    held = 0
    frames = _read(data, places, request)
    for count, frame in enumerate(frames, 1):
        labels = labels_of(frame, data.classes)
        shown = encoder.features(frame.image, request.short_side)
        held += shown.grid.nbytes
        if held > MOST_BYTES:
            raise PerceptionError(
                f"the features of {count} frames take more than {MOST_BYTES >> 30} GB of memory; train on "
                f"fewer with --frames {count * 9 // 10}"
            )
        found.append(_Encoded(labels, shown))
        if count % 20 == 0 or count == len(places):
            say(f"features of {count} of {len(places)} frames")
    if len(found) < LEAST_FRAMES:
        raise PerceptionError(
            f"{len(found)} frames of '{data.path}' can be trained on; {LEAST_FRAMES} at least are needed"
        )
    _require_all_classes(data, found)
    return found


def _read(data: LabelledData, places: Sequence[int], request: HeadRequest) -> Sequence[LabelledFrame] | Any:
    """The frames; in few-shot mode, those with the boxes that were drawn, and no others labelled."""
    if request.boxes:
        return some_boxes(data, places, request.boxes, request.fit.seed)
    return (frame for place in places if (frame := data.frame(place)) is not None)


def _require_all_classes(data: LabelledData, found: Sequence[_Encoded]) -> None:
    shown = {number for one in found for number in one.labels.classes}
    missing = [f"'{name}'" for number, name in enumerate(data.classes) if number not in shown]
    if missing:
        there = ", ".join(data.classes[number] for number in sorted(shown))
        remedy = f'name the others, --classes "{there}"' if there else "label some things there"
        raise PerceptionError(
            f"no frame that is trained on shows {', '.join(missing[:8])}"
            f"{f' and {len(missing) - 8} more' if len(missing) > 8 else ''}; {remedy}, or give more frames"
        )


def _first_card(
    request: HeadRequest, data: LabelledData, encoder: FrameEncoder, encoded: Sequence[_Encoded]
) -> HeadCard:
    outlined = all(one.labels.labels is not None for one in encoded)
    several = data.several and request.task == "classification"
    facts = {
        "model": request.model, "frames": len(encoded), "layout": data.kind, "outlines": outlined,
        "boxes": sum(len(one.labels.boxes) for one in encoded), "steps": request.fit.steps,
        "labels": request.source,
    }  # fmt: skip
    return HeadCard(
        task=request.task,
        classes=data.classes,
        space=encoder.space,
        dim=encoder.dim,
        short_side=request.short_side,
        source=encoder.source,
        cues=encoder.cues,
        # Locations of half a patch, whatever the grid has.
        settings=replace(
            request.settings,
            several=several,
            enlargement=1 if encoder.patches > 1 else 2,
            named=encoder.source == "language",
        ),
        facts=facts,
    )


class _Trainer:
    """Folds, then the whole.

    figures: of the frames that were kept back, by name. texts: vectors of the classes' names, where the head
    compares them.
    """

    def __init__(
        self,
        request: HeadRequest,
        card: HeadCard,
        encoded: Sequence[_Encoded],
        device: str,
        say: Say,
        texts: Tensor | None,
    ) -> None:
        self.request, self.card, self.encoded = request, card, encoded
        self.device, self.say, self.texts = device, say, texts
        self.figures: dict[str, float] = {}

    def trained(self) -> tuple[HeadCard, nn.Module]:
        """The card with what was fitted, and the network."""
        parts = self.request.folds
        if parts >= 2:
            shortened = replace(self.request.fit, steps=max(1, round(FOLD_SHARE * self.request.fit.steps)))
            split = folds(len(self.encoded), parts, self.request.fit.seed)
            for number, (used, kept) in enumerate(split, 1):
                network = self.fitted([self.encoded[i] for i in used], shortened, f"fold {number}")
                self.look([self.encoded[i] for i in kept], network)
            self.card = self.calibrated()
        network = self.fitted(self.encoded, self.request.fit, "all frames")
        return self.card, network

    def fitted(self, encoded: Sequence[_Encoded], fit: FitSettings, what: str) -> nn.Module:
        """A network that saw these frames."""
        samples = [self._sample(one, flipped) for one in encoded for flipped in (False, True)]
        return fit_dense(self.card, samples, fit, self.device, self._told(fit, what), self.texts)

    def _sample(self, one: _Encoded, flipped: bool = False) -> Sample:
        enlargement, cues = self.card.settings.enlargement, self.card.cues
        return sample_of(one.labels, one.plain.grid, enlargement, flipped=flipped, cues=cues)

    def look(self, encoded: Sequence[_Encoded], network: nn.Module) -> None:
        """Takes down what a network says of frames that it did not see."""
        raise NotImplementedError

    def calibrated(self) -> HeadCard:
        """The card, with what follows from all that was taken down."""
        raise NotImplementedError

    def _told(self, fit: FitSettings, what: str) -> Callable[[int, float], None]:
        return lambda step, loss: self.say(f"{what}: step {step} of {fit.steps}, loss {loss:.3f}")


class _DetectionTrainer(_Trainer):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._matched = PrecisionRecall()

    def look(self, encoded: Sequence[_Encoded], network: nn.Module) -> None:

        lowest = np.full(len(self.card.classes), _LOWEST, np.float32)
        for one in encoded:
            rows, columns = one.plain.grid.shape[:2]
            with torch.inference_mode():
                outputs = network(one.plain.grid[None].float())
            enlargement = self.card.settings.enlargement
            found = found_boxes(outputs, (rows, columns), enlargement, ScoreCalibration(), lowest, 100)
            sides = np.array([columns, rows, columns, rows], np.float32)
            truths = np.concatenate([one.labels.boxes.numpy(), one.labels.ignored.numpy()]) * sides
            for label in range(len(self.card.classes)):
                own = found.labels == label
                kind = np.concatenate(
                    [one.labels.numbers.numpy() == label, np.ones(len(one.labels.ignored), bool)]
                )
                ignored = np.arange(len(truths))[kind] >= len(one.labels.boxes)
                table = box_iou(found.boxes[own], truths[kind].astype(np.float32)).astype(np.float64)
                self._matched.add(found.scores[own].tolist(), table, ignored.tolist(), 0.5)

    def calibrated(self) -> HeadCard:
        scores, correct = np.array(self._matched.scores), np.array(self._matched.correct, bool)
        calibration = fitted_calibration(scores, correct)
        probabilities = calibration(scores)
        threshold = best_threshold(probabilities, correct, self._matched.truths)
        reported = probabilities >= threshold
        right = int((reported & correct).sum())
        self.figures = {
            "things": self._matched.truths,
            "precision": right / max(1, int(reported.sum())),
            "recall": right / max(1, self._matched.truths),
            "mean_probability": float(probabilities[reported].mean()) if reported.any() else float("nan"),
            "threshold": threshold,
        }
        return replace(self.card, calibration=calibration, threshold=threshold)


class _SegmentationTrainer(_Trainer):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []

    def look(self, encoded: Sequence[_Encoded], network: nn.Module) -> None:
        for one in encoded:
            sample = self._sample(one)
            assert sample.labels is not None
            with torch.inference_mode():
                logits = network(one.plain.grid[None].float())[0].flatten(1).T
            known = sample.labels.flatten() != IGNORED
            self._logits.append(logits[known])
            self._labels.append(sample.labels.flatten()[known])

    def calibrated(self) -> HeadCard:
        logits, labels = torch.cat(self._logits), torch.cat(self._labels)
        step = max(1, len(logits) // _KEPT_LOGITS)
        temperature = fitted_temperature(logits[::step], labels[::step])
        guessed = logits.argmax(dim=1)
        overlap = []
        for number in range(len(self.card.classes)):
            own, true = guessed == number, labels == number
            if true.any():
                overlap.append(float((own & true).sum() / (own | true).sum()))
        self.figures = {
            "pixel_accuracy": float((guessed == labels).float().mean()),
            "mean_iou": float(np.mean(overlap)) if overlap else float("nan"),
            "temperature": temperature,
        }
        return replace(self.card, temperature=temperature)


class _ClassificationTrainer(_Trainer):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._logits: list[Tensor] = []
        self._targets: list[Tensor] = []

    def fitted(self, encoded: Sequence[_Encoded], fit: FitSettings, what: str) -> nn.Module:
        rows = [_pooled(one.plain) for one in encoded]
        targets = [self._target(one) for one in encoded]
        return fit_classification(
            self.card, torch.stack(rows), torch.stack(targets), fit, self._told(fit, what)
        )

    def look(self, encoded: Sequence[_Encoded], network: nn.Module) -> None:
        with torch.inference_mode():
            self._logits.append(network(torch.stack([_pooled(one.plain) for one in encoded])))
        self._targets += [self._target(one) for one in encoded]

    def calibrated(self) -> HeadCard:
        logits, targets = torch.cat(self._logits), torch.stack(self._targets)
        several = self.card.settings.several
        wanted = targets if several else targets.argmax(dim=1)
        temperature = fitted_temperature(logits, wanted, several=several)
        right = (logits > 0) == (targets > 0) if several else logits.argmax(dim=1) == wanted
        self.figures = {"accuracy": float(right.float().mean()), "temperature": temperature}
        return replace(self.card, temperature=temperature)

    def _target(self, one: _Encoded) -> Tensor:
        row = torch.zeros(len(self.card.classes))
        row[list(one.labels.classes)] = 1.0
        return row


def _pooled(features: FrameFeatures) -> Tensor:
    """As ``head_runner.pooled_features``."""
    return torch.cat([features.pooled, features.grid.float().mean(dim=(0, 1))])


_TRAINERS: dict[str, type[_Trainer]] = {
    "detection": _DetectionTrainer,
    "segmentation": _SegmentationTrainer,
    "classification": _ClassificationTrainer,
}
