"""What a worker does with a frame: the large model's things, and what each check says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perception_contrast.cli.find.find_sources import FindSource, LostNote, ReadFrame
from perception_contrast.core.detection import Detection
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.images.run_length import encode_mask
from perception_contrast.pipeline.detector.base import Detector
from perception_contrast.pipeline.detector.load import load
from perception_contrast_training.data.autolabel.agreement import (
    FLIP,
    MODEL,
    SCALE,
    TRACK,
    Check,
    agreement,
    mirrored,
    searched,
    smaller,
)
from perception_contrast_training.data.autolabel.label_journal import SeenThing
from perception_contrast_training.data.autolabel.pseudo_labels import Rules

_LOOKED_AT = 0.5  # of the threshold: what is less probable is not even reviewed
Models = dict[str, list[str]]
"""Role to the name of a model and the space of its vectors."""


@dataclass(frozen=True)
class LabelModels:
    """Names of what labels, as ``perception_contrast.load`` takes them.

    Attributes:
        model: The large model.
        language_model: What knows words, if ``model`` is a spatial model.
        second: Another model, for the check ``model``; "" for none.
        device: "auto", "cpu", "cuda" or "cuda:N".
        offline: Never touch the network.
    """

    model: str = "household-lit"
    language_model: str | None = None
    second: str = ""
    device: str = "auto"
    offline: bool = False

    def detector(self) -> Detector:
        """Loads the large model. Raises ModelError, SpaceError."""
        return self._loaded(self.model, self.language_model)

    def second_detector(self) -> Detector | None:
        """Loads the other one, if there is any. Raises ModelError, SpaceError."""
        return self._loaded(self.second, None) if self.second else None

    def _loaded(self, model: str, language_model: str | None) -> Detector:
        return load(model, language_model, device=self.device, offline=self.offline, background=False)


@dataclass(frozen=True)
class ModelFacts:
    """models, second: what labels. threshold: least probability of a label."""

    models: Models
    second: Models
    threshold: float


@dataclass(frozen=True)
class LabelItem:
    """A frame to label. read: it; None for an image file, which the worker reads."""

    source: FindSource
    read: ReadFrame | None = None


@dataclass(frozen=True)
class Labelled:
    """What came of a frame.

    Attributes:
        models: Those that the worker has.
        size: (height, width) in pixels.
        things: What the model found, without tracks.
        detections: The same for a tracker; none where nothing is tracked.
        error: Why the frame could not be read.
    """

    models: tuple[Models, Models]
    size: tuple[int, int] = (0, 0)
    things: tuple[SeenThing, ...] = ()
    detections: tuple[Detection, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class LoadLabeller:
    """Loads the models in the process that is to label.

    Attributes:
        models: Their names.
        vocabulary: What is looked for.
        agree: Checks, of ``agreement.CHECKS``.
        threshold: Least probability of a label; None takes the model's own.
    """

    models: LabelModels
    vocabulary: Vocabulary
    agree: tuple[str, ...]
    threshold: float | None

    def __call__(self) -> Labeller:
        return Labeller(self.models.detector(), self.models.second_detector(), self)


class Labeller:
    """Labels one frame at a time; knows nothing of the frames before it.

    Attributes:
        facts: Of its models.
    """

    def __init__(self, detector: Detector, second: Detector | None, asked: LoadLabeller) -> None:
        """Loads nothing more.

        Args:
            detector: The large model.
            second: The other one, for the check ``model``.
            asked: What is asked for.
        """
        threshold = asked.threshold or detector.detection_threshold
        self.facts = ModelFacts(_named(detector), {} if second is None else _named(second), threshold)
        rules = Rules(threshold, asked.agree)
        self._track = TRACK in asked.agree
        self._find = searched(detector, asked.vocabulary, max(0.01, _LOOKED_AT * threshold))
        again = searched(detector, asked.vocabulary, rules.least)
        self._checks: dict[str, Check] = {}
        if FLIP in asked.agree:
            self._checks[FLIP] = mirrored(again)
        if SCALE in asked.agree:
            self._checks[SCALE] = smaller(again)
        if second is not None:
            self._checks[MODEL] = searched(second, asked.vocabulary, rules.least)

    def __call__(self, item: LabelItem) -> Labelled:
        """The things of a frame. Raises PerceptionError where the model cannot take it."""
        models, read = (self.facts.models, self.facts.second), item.read or _read(item.source)
        if read.frame is None:
            return Labelled(models, error=read.error)
        return self._labelled(read.frame, models, tracked=self._track and not item.source.single)

    def _labelled(self, frame: Frame, models: tuple[Models, Models], *, tracked: bool) -> Labelled:
        found = self._find(frame)
        checks = {name: check(frame) for name, check in self._checks.items()} if found else {}
        size = (int(frame.image.shape[0]), int(frame.image.shape[1]))
        things = tuple(_thing(one, checks, size) for one in found)
        return Labelled(models, size, things, tuple(found) if tracked else ())


def _named(detector: Detector) -> Models:
    return {role: list(one) for role, one in detector.models.items()}


def _read(source: FindSource) -> ReadFrame:
    """The frame of an image file."""
    (read,) = [one for one in source.frames(0) if not isinstance(one, LostNote)]
    return read


def _thing(one: Detection, checks: Mapping[str, Sequence[Detection]], size: tuple[int, int]) -> SeenThing:
    return SeenThing(
        one.label,
        one.scores.probability,
        one.box,
        dict(encode_mask(one.mask, size, one.box[:2])),
        {name: agreement(one, others) for name, others in checks.items()},
    )
