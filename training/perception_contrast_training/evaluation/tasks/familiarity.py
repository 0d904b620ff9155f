"""How unlike the language model's training images other images are, and how well that tells them apart."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast_training.cli.eval_options import Job, naming_of
from perception_contrast_training.evaluation.metrics.ranking import roc_auc
from perception_contrast_training.evaluation.per_image import PerImage, Unreadable
from perception_contrast_training.evaluation.readers.frames import sampled_frames
from perception_contrast_training.evaluation.report import Outcome, Table
from perception_contrast_training.photographs.base import readable_photos
from perception_contrast_training.photographs.naming import Naming
from perception_contrast_training.photographs.open_photos import open_photos
from perception_contrast_training.photographs.splits import evenly, part_of

FRAMES = 50  # of each source, without --limit
HEADINGS = ("images", "frames", "least", "mean", "most", "above the limit", "AUC of --data against them")


def familiarity(job: Job) -> Outcome:
    """Unlikeness of the frames of --data and of each --against. Raises PerceptionError."""
    options = job.options
    naming = naming_of(options)  # a file that cannot be read is told before models are loaded
    measure = PerImage(job, partial(_Unlikeness, name=options.language_model))
    sources = list(dict.fromkeys((options.data, *options.against)))
    found = {source: _unlikeness(job, measure, source, naming) for source in sources}
    given = found[options.data]
    figures = {
        source: {
            **_figures(values),
            "auc": None if source == options.data else roc_auc(given.tolist(), values.tolist()),
        }
        for source, values in found.items()
    }
    rows = [(source, *(one[key] for key in one)) for source, one in figures.items()]
    job.notes.append(f"1 is the limit that {100 * measure.facts:.0f} % of kept-back "
                     "training images stay below")  # fmt: skip
    return Outcome({"sources": figures}, [Table("Unlikeness of training images", HEADINGS, rows)])


def _figures(values: NDArray[np.float64]) -> dict[str, float | None]:
    return {
        "frames": len(values),
        "least": float(values.min()),
        "mean": float(values.mean()),
        "most": float(values.max()),
        "above_limit": float((values > 1.0).mean()),
    }


class _Unlikeness:
    """Of a frame; 1 is the limit.

    Attributes:
        facts: The quantile of kept-back training images that the limit is.
    """

    def __init__(self, pipeline: Pipeline, name: str) -> None:
        """name: of the language model. Raises PerceptionError if nothing is known of its training images."""
        language = pipeline.query_encoder.language
        images = language.training_images if language is not None else None
        if images is None:
            raise PerceptionError(
                f"nothing is known here of the training images of '{name}'; take household-lit"
            )
        self._pipeline, self._images = pipeline, images
        self.facts = float(images.facts["quantile"])

    def __call__(self, frame: Frame) -> float | Unreadable:
        try:
            vector = self._pipeline.extract_features(frame).class_token
        except FrameError as error:
            return Unreadable(str(error))
        assert vector is not None
        return float(self._images.unlikeness(vector[None])[0])


def _unlikeness(
    job: Job, measure: PerImage[Frame, float | Unreadable], source: str, naming: Naming
) -> NDArray[np.float64]:
    """(n,) of frames that can be read; 1 is the limit."""
    values: list[float] = []
    wanted = job.options.limit or FRAMES
    for found in measure(_frames(job, source, wanted, naming), Path(source).name, wanted):
        if isinstance(found, Unreadable):
            job.skipped.note(f"{source}, frame {len(values)}", PerceptionError(found.reason))
        else:
            values.append(found)
    if not values:
        raise PerceptionError(f"'{source}' has no image that can be read; nothing was measured")
    return np.array(values)


def _frames(job: Job, source: str, wanted: int, naming: Naming) -> Iterator[Frame]:
    """Of a set of labelled photographs those that training leaves out; else of what ``find`` reads."""
    path = Path(source)
    if not ((path / "images").is_dir() and (path / "labels").is_dir()):
        yield from sampled_frames([path], wanted, job.options.topic)
        return
    photos = open_photos(path, naming, skipped=job.skipped)
    keys = evenly(part_of(photos.facts.name, photos.keys, "test"), wanted)
    for photo in readable_photos(photos, keys):
        yield Frame(photo.image)
