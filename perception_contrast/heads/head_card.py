"""HeadCard: what a trained head is, what its features must be, and how its scores become probabilities."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import checked_text

Task = Literal["detection", "segmentation", "classification"]
TASKS: tuple[Task, ...] = get_args(Task)
Source = Literal["language", "spatial"]
SOURCES: tuple[Source, ...] = get_args(Source)
CUES = 4  # numbers of the instance cues behind a vector of a language model's grid
MOST_CLASSES = 1024
_MOST_SIZE = 1 << 16  # of a layer, beyond any that is trained
LEAST_SHORT_SIDE, MOST_SHORT_SIDE = 14, _MOST_SIZE  # pixels


@dataclass(frozen=True)
class ScoreCalibration:
    """The monotone map from scores to the probability of being right, linear between knots.

    Attributes:
        scores: Ascending, in [0, 1]. Empty: a score is its own probability.
        probabilities: Not descending, in [0, 1], one for each.
    """

    scores: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.probabilities):
            raise ValueError("the calibration has not a probability for each score")
        for values in (self.scores, self.probabilities):
            if not all(0.0 <= one <= 1.0 for one in values):
                raise ValueError("a number of the calibration is not in [0, 1]")
            if any(b < a for a, b in itertools.pairwise(values)):
                raise ValueError("the calibration does not climb")

    def __call__(self, scores: NDArray[np.floating]) -> NDArray[np.float32]:
        """Probabilities of scores of any shape."""
        if not self.scores:
            return np.asarray(scores, np.float32)
        return np.asarray(np.interp(scores, self.scores, self.probabilities), np.float32)


@dataclass(frozen=True)
class HeadSettings:
    """The layers of a head.

    Attributes:
        width: Channels of the hidden layers.
        blocks: Hidden layers behind the first.
        dilated: Whether each hidden layer looks twice as far as the one before.
        enlargement: Locations per patch and side.
        several: Of classification: an image may have several labels, or none.
        named: Whether the names of the classes, as texts, are compared with the features.
    """

    width: int = 64
    blocks: int = 4
    enlargement: int = 2
    several: bool = False
    named: bool = False
    dilated: bool = True

    def __post_init__(self) -> None:
        for name, value, most in (
            ("width", self.width, _MOST_SIZE),
            ("blocks", self.blocks, 64),
            ("enlargement", self.enlargement, 8),
        ):
            if type(value) is not int or not (name == "blocks" or value) or not 0 <= value <= most:
                raise ValueError(f"'{name}' is {value!r}")
        for name, chosen in (("several", self.several), ("named", self.named), ("dilated", self.dilated)):
            if type(chosen) is not bool:
                raise ValueError(f"'{name}' is {chosen!r}")


# Of heads that were trained before these settings were there.
_EARLIER = {"named": False, "dilated": False}


@dataclass(frozen=True)
class HeadCard:
    """What stands in a head's file beside its weights.

    Attributes:
        task: "detection" (boxes with masks), "segmentation" or "classification".
        classes: Labels, in the order of the outputs.
        space: Of the features that it was trained on: those of one encoder with its weights.
        dim: Numbers of a feature vector, with the cues.
        source: "language" for the grid that is compared with words, "spatial" for that of images alone.
        cues: Whether the instance cues of the language model's encoder stand behind each vector.
        short_side: Of the network's input in pixels, in training.
        settings: Of the layers.
        calibration: Of scores, fitted to frames that were kept back.
        temperature: Divides the logits of segmentation and of classification.
        threshold: Probability from which results are reported, where nothing else is asked for.
        facts: What is known of the training, by name.
    """

    task: Task
    classes: tuple[str, ...]
    space: str
    dim: int
    short_side: int
    source: Source = "spatial"
    cues: bool = False
    settings: HeadSettings = field(default_factory=HeadSettings)
    calibration: ScoreCalibration = field(default_factory=ScoreCalibration)
    temperature: float = 1.0
    threshold: float = 0.5
    facts: Mapping[str, Any] = field(default_factory=dict)

    def dumped(self) -> str:
        """As JSON, for ``loaded``."""
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> HeadCard:
        """From what ``dumped`` wrote.

        Raises:
            ValueError, KeyError, TypeError: The text is something else.
        """
        stored = json.loads(text)
        if not isinstance(stored, dict):
            raise ValueError("the card is no table")
        card = cls(
            task=_one_of(stored["task"], TASKS, "task"),
            classes=_classes(stored["classes"]),
            space=str(stored["space"]),
            dim=int(stored["dim"]),
            short_side=int(stored["short_side"]),
            source=_one_of(stored["source"], SOURCES, "source"),
            cues=bool(stored["cues"]),
            settings=HeadSettings(**(_EARLIER | stored["settings"])),
            calibration=ScoreCalibration(
                *(
                    tuple(float(one) for one in stored["calibration"][key])
                    for key in ("scores", "probabilities")
                )
            ),
            temperature=float(stored["temperature"]),
            threshold=float(stored["threshold"]),
            facts=dict(stored["facts"]),
        )
        if not 1 <= card.dim <= _MOST_SIZE or not LEAST_SHORT_SIDE <= card.short_side <= MOST_SHORT_SIDE:
            raise ValueError(f"features of {card.dim} numbers at {card.short_side} pixels")
        if not (math.isfinite(card.temperature) and card.temperature > 0.0):
            raise ValueError(f"the temperature is {card.temperature}")
        if not 0.0 < card.threshold < 1.0:
            raise ValueError(f"the threshold is {card.threshold}")
        return card


def _one_of(stored: Any, known: tuple[Any, ...], what: str) -> Any:
    if stored not in known:
        raise ValueError(f"{what} '{stored}' is none of {', '.join(known)}")
    return stored


def _classes(stored: Any) -> tuple[str, ...]:
    try:
        classes = tuple(checked_text(one, "a class") for one in stored)
    except QueryError as error:
        raise ValueError(str(error)) from error
    if not 1 <= len(classes) <= MOST_CLASSES or len(set(classes)) < len(classes):
        raise ValueError(f"it has {len(classes)} classes, or one twice")
    return classes
