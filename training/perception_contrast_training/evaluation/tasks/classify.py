"""Zero-shot classification: an image's embedding against the classes' words (Radford et al., 2021)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast_training.cli.eval_options import Job, matched, vocabulary_for
from perception_contrast_training.evaluation.metrics.ranking import Ranking
from perception_contrast_training.evaluation.per_image import PerImage
from perception_contrast_training.evaluation.readers.classes import ClassFolder
from perception_contrast_training.evaluation.readers.types import Image, NamedImage
from perception_contrast_training.evaluation.report import Outcome, Table
from perception_contrast_training.evaluation.result_images import confusion_image, tiled

DEEP = 5
SHOWN = 20  # wrong images on the sheet


def classify(job: Job) -> Outcome:
    """Every image's best name. Raises PerceptionError."""
    options = job.options
    data = ClassFolder(Path(options.data), job.skipped, options.limit)
    vocabulary = matched(vocabulary_for(options), data.names)
    if len(data.names) < 2:
        raise PerceptionError(f"'{options.data}' has one class alone; nothing can be told apart")
    measure = PerImage(job, partial(_Classify, vocabulary=vocabulary))
    ranking = Ranking(len(data.names), min(DEEP, len(data.names)))
    wrong: list[tuple[float, str, Image]] = []
    sent = deque[NamedImage]()
    for scores in measure(_kept(data, sent), "classifying", len(data)):
        sample = sent.popleft()
        if ranking.add(sample.label, scores) and options.draw:
            wrong = _with(wrong, sample, scores, data.names)
    if not ranking.confusion.total:
        raise PerceptionError("no image could be read; nothing was measured")
    outcome = _outcome(ranking, data.names)
    if options.draw:
        outcome.images["confusion.png"] = confusion_image(ranking.confusion.counts[:, :-1], data.names)
    if wrong:
        outcome.images["worst.png"] = tiled([(text, image) for _, text, image in wrong], width=200)
    return outcome


def _kept(data: Iterable[NamedImage], sent: deque[NamedImage]) -> Iterator[Image]:
    """The images; keeps each with its class until its scores are there."""
    for sample in data:
        sent.append(sample)
        yield sample.image


class _Classify:
    """The scores of an image."""

    facts = None

    def __init__(self, pipeline: Pipeline, vocabulary: Vocabulary) -> None:
        self._pipeline, self._vocabulary = pipeline, vocabulary

    def __call__(self, image: Image) -> NDArray[np.float32]:
        return scores_of(self._pipeline, image, self._vocabulary)


def scores_of(pipeline: Pipeline, image: Image, vocabulary: Vocabulary) -> NDArray[np.float32]:
    """(classes,) cosines of an image with each class: the best of its phrases."""
    phrases = [query.texts() for query in vocabulary.queries]
    cosines = pipeline.classify(Frame(image), list(chain.from_iterable(phrases))).cosines
    starts = np.cumsum([0, *(len(texts) for texts in phrases[:-1])])
    return np.asarray(np.maximum.reduceat(cosines, starts), np.float32)


def _with(
    wrong: list[tuple[float, str, Image]],
    sample: NamedImage,
    scores: NDArray[np.float32],
    names: tuple[str, ...],
) -> list[tuple[float, str, Image]]:
    """The list with one more, the surest mistakes first, and no longer than what is shown."""
    lead = float(scores.max() - scores[sample.label])
    text = f"{names[sample.label]}: {names[int(scores.argmax())]}?"
    return sorted([*wrong, (lead, text, sample.image)], key=lambda one: -one[0])[:SHOWN]


def _outcome(ranking: Ranking, names: tuple[str, ...]) -> Outcome:
    by_class = dict(zip(names, ranking.confusion.recall().tolist(), strict=True))
    figures: dict[str, Any] = {
        "top1": ranking.top(1),
        f"top{ranking.deep}": ranking.top(ranking.deep),
        "top1_by_class": by_class,
        "confusion": ranking.confusion.counts[:, :-1],
        "pictures": ranking.confusion.total,
    }
    rows = [
        ("top-1", figures["top1"]),
        (f"top-{ranking.deep}", ranking.top(ranking.deep)),
        ("chance", 1 / len(names)),
        ("images", ranking.confusion.total),
    ]
    tables = [
        Table("Zero-shot classification", ("figure", "value"), rows),
        Table("Classes", ("class", "top-1"), list(by_class.items())),
    ]
    return Outcome(figures, tables)
