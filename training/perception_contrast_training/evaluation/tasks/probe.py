"""Semantic segmentation by a linear probe on the encoder's frozen features, in a plain and a full variant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.cli.eval_options import (
    Job,
    Options,
    encoders_of,
    household_of,
    ignored_of,
    labels_of,
    vocabulary_for,
)
from perception_contrast_training.evaluation.probe import FULL, PLAIN, Fit, LinearProbe, Variant, features_of
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.evaluation.readers.folders import LabelFolder, numbers_in
from perception_contrast_training.evaluation.readers.types import LabelledImage
from perception_contrast_training.evaluation.report import Outcome, Table
from perception_contrast_training.evaluation.tasks.seg import SegmentationFigures, labelled_set

TEST_SHARE = 0.25  # of the images, the last ones by name


def probe(job: Job) -> Outcome:
    """Fits both variants to the first images and measures them on the last. Raises PerceptionError."""
    options = job.options
    names, samples = _samples(job)
    train, test = split(samples, options.train, options.test)
    full = FULL if options.short_side is None else replace(FULL, short_side=options.short_side)
    tower = encoders_of(options, words=False).spatial
    measured: dict[str, SegmentationFigures] = {}
    for variant in (PLAIN, full):
        shown = tracked(samples, f"features, {variant.name} probe", len(samples))
        features = {sample.name: features_of(tower, sample.image, variant) for sample in shown}
        measured[variant.name] = _measured(options, variant, names, train, test, features)
    plain_figures = measured["plain"].figures()
    outcome = measured["full"].outcome(f"Linear probe, {len(train)} images to fit, {len(test)} to test")
    outcome.tables.insert(0, _comparison(measured, (PLAIN, full)))
    outcome.figures |= {"train": len(train), "test": len(test), "plain": plain_figures}
    return outcome


def split(
    samples: list[LabelledImage], train: int | None, test: int | None
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """The first ``train`` and the last ``test``, a quarter unless told. Raises PerceptionError."""
    last = test if test is not None else max(1, round(TEST_SHARE * len(samples)))
    first = train if train is not None else len(samples) - last
    if first < 1 or last < 1 or first + last > len(samples):
        raise PerceptionError(
            f"{len(samples)} images cannot be split into {first} to fit and {last} to test; "
            "choose other numbers with --train and --test"
        )
    return samples[:first], samples[-last:]


def _samples(job: Job) -> tuple[tuple[str, ...], list[LabelledImage]]:
    """Names of the classes and all images; classes without names are called by their numbers."""
    options = job.options
    if household_of(options) is not None or vocabulary_for(options) is not None:
        data, vocabulary = labelled_set(job)
        return labels_of(vocabulary), list(data)
    folder, ignored = Path(options.data), ignored_of(options)
    names = tuple(f"class {number}" for number in range(numbers_in(folder, ignored, job.skipped)))
    return names, list(LabelFolder(folder, names, ignored, job.skipped, options.limit))


def _measured(
    options: Options,
    variant: Variant,
    names: tuple[str, ...],
    train: list[LabelledImage],
    test: list[LabelledImage],
    features: dict[str, Tensor],
) -> SegmentationFigures:
    layer = LinearProbe(len(features[train[0].name]), len(names), variant)
    fit = Fit(seed=options.seed)
    layer.fit([features[sample.name] for sample in train], [sample.labels for sample in train], fit)
    figures = SegmentationFigures(names, worst=options.draw)
    for sample in test:
        size = (sample.image.shape[0], sample.image.shape[1])
        figures.add(sample, layer.predict(features[sample.name], size))
    return figures


def _comparison(measured: dict[str, SegmentationFigures], variants: tuple[Variant, ...]) -> Table:
    rows = []
    for variant in variants:
        confusion = measured[variant.name].confusion
        depth = "three depths" if variant.deep else "last layer"
        grain = f"{variant.enlarge}x finer than cells" if variant.enlarge > 1 else "one label a cell"
        rows.append(
            (variant.name, variant.short_side, depth, grain, confusion.mean_iou(), confusion.accuracy())
        )
    headings = ("probe", "short side", "features", "fitted to", "mIoU", "pixel accuracy")
    return Table("Variants", headings, rows)
