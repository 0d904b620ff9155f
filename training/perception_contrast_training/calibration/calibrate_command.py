"""`perception-contrast calibrate`: probabilities by labelled images, or a place's level without labels."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.self_calibration import LEAST_FRAMES
from perception_contrast.segmentation.calibration import Calibration
from perception_contrast.segmentation.calibration_files import (
    METHODS,
    StoredCalibration,
    calibration_path,
    write_calibration,
)
from perception_contrast.segmentation.place_level import (
    MOST_FIRED,
    checked_place,
    place_level_path,
    write_place_level,
)
from perception_contrast.segmentation.searcher_factory import scores_of
from perception_contrast_training.calibration.asked_images import AskedImage, labelled_images, rooms
from perception_contrast_training.calibration.coco_images import coco_halves
from perception_contrast_training.calibration.fitting import fitted
from perception_contrast_training.calibration.judged_regions import (
    JudgedRegions,
    errors_by_group,
    judged_at,
    precision_and_recall,
    threshold_for_absent,
    threshold_for_precision,
)
from perception_contrast_training.calibration.reliability_diagram import draw_reliability
from perception_contrast_training.calibration.unlabelled import (
    measure_level,
    report_level,
    require_frames,
)
from perception_contrast_training.config.alignment_recipe import CalibrationSettings
from perception_contrast_training.evaluation.metrics.reliability import BINS, Reliability, reliability
from perception_contrast_training.evaluation.readers.frames import sampled_frames
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.household.labelled import LabelledFolder

HOUSEHOLD = "household"
MOVES = (0.0, -1.0, -0.5, 0.5, 1.0)  # of the levels that regions grow between, in logits; none first
MOST_ABSENT = 500  # absent names of an image; a vocabulary has to have room for those that are there
VIEWS = 2  # of each simulated room: regions of one room are alike, and a fit needs many that are not
# Of the probabilities (n,) of regions, the default threshold.
Threshold = Callable[[NDArray[np.float64], JudgedRegions], float]
SEED = 640_001  # of scenes that neither training nor the evaluation of household-lit draws


@dataclass(frozen=True)
class Fit:
    """What was fitted, and how it does on the held-out half.

    Attributes:
        stored: The fit.
        before, after: How reliable the probabilities of regions were and are.
        errors: Of each group of regions, the calibration error before and after.
        shown: Of each group, what the threshold lets through, as ``precision_and_recall`` gives it.
    """

    stored: StoredCalibration
    before: Reliability
    after: Reliability
    errors: Mapping[str, tuple[float, float]]
    shown: Mapping[str, Mapping[str, float]]


def moved_levels(base: Calibration) -> list[Calibration]:
    """The calibration, then others whose seed, low and mask lie lower or higher by the same."""
    return [
        replace(base, seed=base.seed + move, low=base.low + move, mask=base.mask + move) for move in MOVES
    ]


def best_of_levels(
    levels: Sequence[Calibration], found: Sequence[JudgedRegions], method: str, threshold: Threshold
) -> int:
    """Which levels find most of what is there, at their threshold.

    The first ones where none finds more; those with too little to fit to are left out.
    """
    shares: list[float] = []
    for base, regions in zip(levels, found, strict=True):
        try:
            new = fitted(base, regions.features, regions.correct, method, regions.weights)
        except PerceptionError:
            shares.append(0.0)
            continue
        probability = new.probability(regions.features)
        shares.append(regions.found(probability >= threshold(probability, regions)))
    return int(np.argmax(shares))


def fit_and_measure(
    pipeline: Pipeline,
    base: Calibration,
    fit: JudgedRegions,
    held_out: JudgedRegions,
    method: str,
    threshold: Threshold,
) -> Fit:
    """Fits to one half, measures on the other.

    Args:
        pipeline: That both were searched by.
        base: With the levels that both halves were gathered at.
        fit: Regions to fit to; each group counts alike.
        held_out: Regions to measure on.
        method: One of METHODS.
        threshold: Gives the default threshold.

    Raises:
        PerceptionError: There is too little to fit to, or to measure on.
    """
    new = fitted(base, fit.features, fit.correct, method, fit.weights)
    if not len(held_out.correct):
        raise PerceptionError("nothing stands out in the held-out half; give more images")
    before, after = (c.probability(held_out.features) for c in (base, new))
    of_before, of_after = (reliability(probability, held_out.correct) for probability in (before, after))
    facts = {
        "pictures": fit.images,
        "regions": len(fit.correct),
        "held_out_pictures": held_out.images,
        "held_out_regions": len(held_out.correct),
        "bins": BINS,
        "seed": base.seed,
        "error_before": of_before.error,
        "error_after": of_after.error,
    }
    detection = threshold(new.probability(fit.features), fit)
    space = pipeline.frame_search.searcher.text_space
    scores = scores_of(pipeline.query_encoder.language)
    stored = StoredCalibration(space, method, replace(new, detection=detection), facts, scores)
    errors = errors_by_group(before, held_out), errors_by_group(after, held_out)
    by_group = {group: (errors[0][group], error) for group, error in errors[1].items()}
    return Fit(stored, of_before, of_after, by_group, precision_and_recall(after, held_out, detection))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast calibrate",
        description="Fits probabilities of words to labelled images and measures them on a held-out half; "
        "or, without labels, finds from which probability on words are to be reported in a place.",
    )
    kinds = parser.add_mutually_exclusive_group(required=True)
    kinds.add_argument(
        "--unlabelled",
        nargs="+",
        type=Path,
        metavar="BAG|VIDEO|FOLDER",
        help="recordings, videos, images or folders of a place, of which nothing else need be known",
    )
    kinds.add_argument(
        "--data",
        metavar="household|FOLDER|FILE.json",
        help="simulated scenes, a folder with images/, labels/ (PNG, one number a pixel) and classes.txt, or "
        "a COCO file of boxes or masks",
    )
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER", help="of a COCO file; default: beside it, or in images/"
    )
    parser.add_argument("--place", default="here", help="its name, with --unlabelled; default: %(default)s")
    parser.add_argument(
        "--frames", type=int, default=40, help="with --unlabelled, evenly chosen; default: %(default)s"
    )
    parser.add_argument("--topic", help="with --unlabelled, the image topic of recordings")
    parser.add_argument("--method", choices=METHODS, default=METHODS[0], help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="JSON file; default: where the nodes look for it")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="also draw a reliability diagram (.png, .svg)"
    )
    parser.add_argument("--model", default="dinov2-s14", help="default: %(default)s")
    parser.add_argument("--language-model", default="household-lit", help="default: %(default)s")
    parser.add_argument(
        "--scenes", type=int, default=120, help="simulated scenes in all; default: %(default)s"
    )
    parser.add_argument(
        "--absent",
        type=int,
        default=CalibrationSettings.absent,
        help="names asked for at once that are absent from an image; default: %(default)s",
    )
    thresholds = parser.add_mutually_exclusive_group()
    thresholds.add_argument(
        "--least-right",
        type=float,
        metavar="SHARE",
        help="with --data: the default threshold is the lowest at which this share of what is reported is "
        f"right, with many names and with few; default: {CalibrationSettings.least_right}",
    )
    thresholds.add_argument(
        "--most-fired",
        type=float,
        metavar="SHARE",
        help="the threshold is the lowest at which at most this share of the absent names is reported; with "
        f"--data instead of --least-right; with --unlabelled by default {MOST_FIRED}",
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of scenes and of absent names")
    parser.add_argument("--offline", action="store_true", help="never touch a network")
    return parser


def halves(
    arguments: argparse.Namespace, skipped: Skipped
) -> tuple[Iterator[AskedImage], Iterator[AskedImage]]:
    """Rooms of two seeds, or the first and the second half of images: neighbours stay together.

    skipped: notes files of the folder that cannot be read.
    """
    seed, absent = arguments.seed, arguments.absent
    if arguments.data == HOUSEHOLD:
        scenes = (arguments.scenes + 1) // 2, arguments.scenes // 2
        first, second = (
            rooms(seed + k, n, absent, offline=arguments.offline, views=VIEWS, unseen=True)
            for k, n in enumerate(scenes)
        )
        return first, second
    if arguments.data.endswith(".json"):
        return coco_halves(Path(arguments.data), arguments.images, skipped, seed, absent)
    folder = LabelledFolder(Path(arguments.data), skipped)
    middle = (len(folder.pairs) + 1) // 2
    return (
        labelled_images(folder, folder.pairs[:middle], seed, absent),
        labelled_images(folder, folder.pairs[middle:], seed + 1, absent),
    )


def _pipeline(arguments: argparse.Namespace) -> Pipeline:
    """With the models' own calibration, whatever the cache holds."""
    from perception_contrast.encoders.load_encoders import load_encoders

    if arguments.language_model == "none":
        raise PerceptionError("words are calibrated, so there must be a language model; not 'none'")
    return Pipeline(load_encoders(arguments.model, arguments.language_model, offline=arguments.offline))


def _require_sane(arguments: argparse.Namespace) -> None:
    if arguments.scenes < 2 or not 0 <= arguments.absent <= MOST_ABSENT:
        raise PerceptionError(f"--scenes is 2 or more, --absent from 0 to {MOST_ABSENT}")
    for name in ("least_right", "most_fired"):
        value = getattr(arguments, name)
        if value is not None and not 0.0 <= value <= 1.0:
            raise PerceptionError(f"--{name.replace('_', '-')} is a share, in [0, 1]; not {value}")
    if arguments.unlabelled and arguments.least_right is not None:
        raise PerceptionError(
            "--least-right needs labels, which say what is right; with --unlabelled give --most-fired"
        )


def _threshold(arguments: argparse.Namespace) -> Threshold:
    """What the default threshold is to hold to."""
    if arguments.most_fired is not None:
        return partial(threshold_for_absent, most_fired=arguments.most_fired)
    least_right = arguments.least_right
    return partial(
        threshold_for_precision,
        least_right=CalibrationSettings.least_right if least_right is None else least_right,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0; raises PerceptionError for what the user can mend."""
    from rich.progress import track

    arguments = _parser().parse_args(argv)
    _require_sane(arguments)
    if arguments.unlabelled:
        return _calibrate_place(arguments)
    skipped = Skipped()
    first, second = halves(arguments, skipped)
    pipeline = _pipeline(arguments)
    levels = moved_levels(pipeline.frame_search.searcher.calibration)
    method, threshold = arguments.method, _threshold(arguments)
    at_levels = judged_at(pipeline, track(first, "to fit to", total=None), levels)
    chosen = best_of_levels(levels, at_levels, method, threshold)
    (held_out,) = judged_at(pipeline, track(second, "held out", total=None), [levels[chosen]])
    for reason in skipped.files.values():
        print(f"left out: {reason}")
    done = fit_and_measure(pipeline, levels[chosen], at_levels[chosen], held_out, method, threshold)
    _report(done, pipeline.frame_search.searcher.calibration)
    path = arguments.out or calibration_path(done.stored.space)
    _write(done, path, arguments.plot)
    print(f"written to {path}")
    return 0


def _calibrate_place(arguments: argparse.Namespace) -> int:
    """Measures and stores the level of a place."""
    from rich.progress import track

    require_frames(arguments.frames)
    checked_place(arguments.place)
    frames = sampled_frames(arguments.unlabelled, arguments.frames, arguments.topic, LEAST_FRAMES)
    pipeline = _pipeline(arguments)
    seen = iter(track(frames, "frames", total=arguments.frames))
    most_fired = MOST_FIRED if arguments.most_fired is None else arguments.most_fired
    level = measure_level(pipeline, seen, arguments.place, most_fired)
    report_level(level)
    path = arguments.out or place_level_path(level.space, level.place)
    try:
        write_place_level(path, level)
    except OSError as error:
        raise PerceptionError(f"a file cannot be written: {error}") from error
    print(f"written to {path}")
    return 0


def _write(done: Fit, path: Path, plot: Path | None) -> None:
    """The diagram in any case, the calibration only where it is better than what there was."""
    try:
        if plot is not None:
            title = f"{done.stored.space}, held out"
            draw_reliability(plot, title, {"before": done.before, done.stored.method: done.after})
        if done.after.error >= done.before.error:
            raise PerceptionError(
                "the fit is no better on the held-out half than what there was, and is not written; "
                "give more images or keep the calibration in force"
            )
        write_calibration(path, done.stored)
    except (OSError, ValueError) as error:
        raise PerceptionError(f"a file cannot be written: {error}") from error


def _report(done: Fit, before: Calibration) -> None:
    stored, facts = done.stored, done.stored.facts
    print(f"{stored.method} for {stored.space}")
    print(f"fitted to {facts['regions']} regions of {facts['pictures']} images,", end=" ")
    print(f"measured on {facts['held_out_regions']} of {facts['held_out_pictures']} others")
    print(f"expected calibration error ({BINS} bins of equal width):", end=" ")
    print(f"{done.before.error:.4f} before, {done.after.error:.4f} after")
    for group, (error, now) in done.errors.items():
        shown = done.shown[group]
        print(f"  {group}: {error:.4f} before, {now:.4f} after;", end=" ")
        print(f"{shown['published']:.0f} of {shown['regions']:.0f} regions above the threshold,", end=" ")
        print(f"{100 * shown['precision']:.0f} % of them right")
    print(f"detection threshold: {before.detection:.3f} before, {stored.words.detection:.3f} after")
    print(f"seed of regions: {before.seed:.2f} before, {stored.words.seed:.2f} after")
