"""Dense features of encoders side by side on labelled images: linear probe and clustering."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.evaluation.clustering import clustering_figures
from perception_contrast_training.evaluation.compare import report
from perception_contrast_training.evaluation.encoding import EncoderAdapter
from perception_contrast_training.evaluation.metrics.confusion import ConfusionMatrix
from perception_contrast_training.evaluation.probe import PLAIN, Fit, LinearProbe, features_of
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.evaluation.readers.folders import LabelFolder, numbers_in
from perception_contrast_training.evaluation.readers.types import VOID, Skipped
from perception_contrast_training.evaluation.report import Outcome
from perception_contrast_training.evaluation.tasks.probe import split

_log = logging.getLogger(__name__)


def has_masks(path: Path) -> bool:
    """Whether this is a folder of images with a label image each."""
    return (path / "images").is_dir() and (path / "labels").is_dir()


def compare_dense(
    adapters: Sequence[EncoderAdapter],
    folder: Path,
    *,
    ignore: Sequence[int] = (),
    seed: int = 0,
    test: int | None = None,
    limit: int = 0,
) -> Outcome:
    """mIoU of the plain linear probe (the last quarter of the images is tested on) and of clustering.

    folder: images/NAME.png|jpg and labels/NAME.png. ignore: class numbers that do not count. limit: of
    the first images, 0 for all. Raises PerceptionError for encoders without dense features.
    """
    blind = [adapter.name for adapter in adapters if adapter.encoder is None]
    if blind:
        raise PerceptionError(f"'{blind[0]}' gives no dense features here; export it first")
    ignored = {*VOID, *ignore}
    skipped = Skipped()
    names = tuple(f"class {number}" for number in range(numbers_in(folder, ignored, skipped)))
    samples = list(LabelFolder(folder, names, ignored, skipped, limit))
    for reason in skipped.files.values():
        _log.warning("left out: %s", reason)
    fitted_to, tested = split(samples, None, test)
    figures: dict[str, dict[str, float]] = {}
    for adapter in adapters:
        assert adapter.encoder is not None
        shown = tracked(samples, f"{adapter.name}: dense features", len(samples))
        features = {sample.name: features_of(adapter.encoder, sample.image, PLAIN) for sample in shown}
        probe = LinearProbe(len(next(iter(features.values()))), len(names), PLAIN)
        probe.fit([features[s.name] for s in fitted_to], [s.labels for s in fitted_to], Fit(seed=seed))
        matrix = ConfusionMatrix(len(names))
        for sample in tested:
            size = (sample.image.shape[0], sample.image.shape[1])
            matrix.add(sample.labels, probe.predict(features[sample.name], size))
        figures[adapter.name] = {
            "dense probe mIoU": matrix.mean_iou(),
            "dense probe accuracy": matrix.accuracy(),
        }
        figures[adapter.name] |= clustering_figures(
            [features[s.name] for s in samples], [s.labels for s in samples], len(names), seed
        )
    return report(figures, {adapter.name: adapter.space for adapter in adapters})
