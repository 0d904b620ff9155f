"""Images with exact masks of named things: the simulated household, or a folder of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.orientation import orientation_note
from perception_contrast.recordings.storage import is_recording
from perception_contrast_sim.rooms.scenes import LabelledScene, SceneSampler, SceneSettings
from perception_contrast_training.evaluation.readers.folders import labelled_pairs
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.household.questions import (
    Question,
    absent_questions,
    present_questions,
)
from perception_contrast_training.household.words import Words


@dataclass(frozen=True)
class Labelled:
    """rgb: (H, W, 3) uint8. questions: names and phrases with their masks, or without where absent."""

    rgb: NDArray[np.uint8]
    questions: tuple[Question, ...]


def household(
    seed: int, scenes: int, absent: int, offline: bool = False, views: int = 6, *, unseen: bool = True
) -> Iterator[Labelled]:
    """Training words on rendered scenes of a seed: the kept-back words stay with the evaluation.

    absent: names asked for that are not there, per scene. views: scenes of each room. unseen: shapes that
    training never drew, without which a head would be as sure of itself as of what it was trained on.
    """
    words, rng = Words(), np.random.default_rng(seed)
    sampler = SceneSampler(seed, SceneSettings(unseen=unseen, offline=offline, views=views))
    for _, image in zip(range(scenes), sampler, strict=False):
        questions = _one_of_each(image, words, rng)
        questions += absent_questions(image, words, rng, absent)
        yield Labelled(image.rgb, tuple(questions))


def _one_of_each(image: LabelledScene, words: Words, rng: np.random.Generator) -> list[Question]:
    """One question about each name that is there, worded by chance.

    Asked more often than names that are not there, what is there would make every answer seem likely.
    """
    kept = [q for q in present_questions(image, words, rng) if not q.kind.startswith("held-out")]
    by_truth: dict[bytes, list[Question]] = {}
    for question in kept:
        assert question.truth is not None
        by_truth.setdefault(question.truth.tobytes(), []).append(question)
    return [some[int(rng.integers(len(some)))] for some in by_truth.values()]


class LabelledFolder:
    """``images/*.jpg|png``, ``labels/<same name>.png`` and ``classes.txt``, a name a line.

    A label image has one channel (8 or 16 bit, or a palette); its value is the line of the name,
    counted from 0. Other values, such as 255 and 65535, are none of the names. skipped: notes images and
    labels that cannot be read, which are left out. Raises PerceptionError that names what is missing.
    """

    def __init__(self, folder: Path, skipped: Skipped) -> None:
        self._skipped = skipped
        try:
            lines = (folder / "classes.txt").read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            what = f"'{folder}' is a recording" if is_recording(folder) else str(error)
            raise PerceptionError(
                f"'{folder / 'classes.txt'}' cannot be read: {what}; give a folder of labelled "
                "images: images/, labels/ and classes.txt"
            ) from error
        self.names = tuple(line.strip() for line in lines)
        if not any(self.names):
            raise PerceptionError(f"'{folder / 'classes.txt'}' names nothing; write one name a line")
        self.pairs = labelled_pairs(folder, skipped)
        if len(self.pairs) < 2:
            raise PerceptionError(
                f"'{folder / 'images'}' holds {len(self.pairs)} images; two or more are needed"
            )

    def images(
        self, pairs: Sequence[tuple[Path, Path]]
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """(H, W, 3) RGB and (H, W) numbers of names, of some of ``pairs``. Raises PerceptionError."""
        for path, label_path in pairs:
            rgb, labels = self._skipped.image(path), self._skipped.labels(label_path)
            if rgb is None or labels is None:
                continue
            if labels.shape != rgb.shape[:2]:
                raise PerceptionError(
                    f"'{path}' and its label image differ in size; make them alike{orientation_note(path)}"
                )
            yield rgb, labels
