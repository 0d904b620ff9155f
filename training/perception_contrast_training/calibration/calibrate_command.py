"""`perception-contrast calibrate`: probabilities by labelled images, or a place's level without labels."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.segmentation.calibration import Calibration
from perception_contrast.segmentation.calibration_files import (
    METHODS,
    StoredCalibration,
    calibration_path,
    write_calibration,
)
from perception_contrast.segmentation.place_level import (
    checked_place,
    place_level_path,
    write_place_level,
)
from perception_contrast.segmentation.searcher_factory import scores_of
from perception_contrast_training.calibration.fitting import fitted
from perception_contrast_training.calibration.household_calibration import (
    Regions,
    regions_of,
    threshold_of,
    word_cases,
)
from perception_contrast_training.calibration.reliability_diagram import draw_reliability
from perception_contrast_training.calibration.unlabelled import (
    measure_level,
    report_level,
    require_frames,
    sampled_frames,
)
from perception_contrast_training.evaluation.metrics.reliability import BINS, Reliability, reliability
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.household.labelled import Labelled, LabelledFolder, household

HOUSEHOLD = "household"
MOVES = (0.0, -1.0, -0.5, 0.5, 1.0)  # of the levels that regions grow between, in logits; none first
VIEWS = 2  # of each simulated room: regions of one room are alike, and a fit needs many that are not
SEED = 640_001  # of scenes that neither training nor the evaluation of household-lit draws


@dataclass(frozen=True)
class Half:
    """Regions of half of the data.

    features: (n, k); correct, case: (n,); absent, present: (cases,), neither for a matter of degree.
    """

    features: NDArray[np.float64]
    correct: NDArray[np.bool_]
    case: NDArray[np.int64]
    absent: NDArray[np.bool_]
    images: int
    present: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))


@dataclass(frozen=True)
class Fit:
    """What was fitted, and how reliable the probabilities of the held-out half were and are."""

    stored: StoredCalibration
    before: Reliability
    after: Reliability


def gathered(pipeline: Pipeline, images: Iterable[Labelled], levels: Sequence[Calibration]) -> list[Half]:
    """Asks every question of every image, at each of some levels; only what a fit needs is kept."""
    found = [Regions([], [], []) for _ in levels]
    absent: list[bool] = []
    present: list[bool] = []
    count = 0
    for image in images:
        count += 1
        cases = list(word_cases(pipeline, image))
        for kept, level in zip(found, levels, strict=True):
            regions = regions_of(pipeline, cases, level.seed, level.low)
            kept.features += regions.features
            kept.correct += regions.correct
            kept.case += [len(absent) + number for number in regions.case]
        absent += [one.truth is None and one.strict for one in cases]
        present += [one.truth is not None for one in cases]
    return [
        Half(
            np.array(kept.features, float).reshape(-1, len(level.weights)),
            np.array(kept.correct, bool),
            np.array(kept.case, np.int64),
            np.array(absent, bool),
            count,
            np.array(present, bool),
        )
        for kept, level in zip(found, levels, strict=True)
    ]


def moved_levels(base: Calibration) -> list[Calibration]:
    """The calibration, then others whose seed, low and mask lie lower or higher by the same."""
    return [
        replace(base, seed=base.seed + move, low=base.low + move, mask=base.mask + move) for move in MOVES
    ]


def best_level(levels: Sequence[Calibration], halves: Sequence[Half], method: str, most_fired: float) -> int:
    """Which levels find most of what is there, at a threshold that lets few absent names through.

    The first ones where none finds more; those with too little to fit to are left out.
    """
    shares: list[float] = []
    for base, half in zip(levels, halves, strict=True):
        try:
            new = fitted(base, half.features, half.correct, method)
        except PerceptionError:
            shares.append(0.0)
            continue
        probability = new.probability(half.features)
        reported = probability >= threshold_of(half.absent, half.case.tolist(), probability, most_fired)
        found = np.unique(half.case[half.correct & reported])
        shares.append(len(found) / max(1, int(half.present.sum())))
    return int(np.argmax(shares))


def fit_words(
    pipeline: Pipeline, base: Calibration, fit: Half, held_out: Half, method: str, most_fired: float
) -> Fit:
    """Fits to one half, measures on the other. Raises PerceptionError where there is too little.

    base: with the levels that both halves were gathered at.
    """
    new = fitted(base, fit.features, fit.correct, method)
    threshold = threshold_of(fit.absent, fit.case.tolist(), new.probability(fit.features), most_fired)
    if not len(held_out.correct):
        raise PerceptionError("nothing stands out in the held-out half; give more images")
    before, after = (reliability(c.probability(held_out.features), held_out.correct) for c in (base, new))
    facts = {
        "pictures": fit.images,
        "regions": len(fit.correct),
        "held_out_pictures": held_out.images,
        "held_out_regions": len(held_out.correct),
        "bins": BINS,
        "seed": base.seed,
        "error_before": before.error,
        "error_after": after.error,
    }
    space = pipeline.frame_search.searcher.text_space
    scores = scores_of(pipeline.query_encoder.language)
    stored = StoredCalibration(space, method, replace(new, detection=threshold), facts, scores)
    return Fit(stored, before, after)


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
        metavar="household|FOLDER",
        help="simulated scenes, or a folder with images/, labels/ (PNG, one number a pixel) and classes.txt",
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
    parser.add_argument("--absent", type=int, default=12, help="absent names an image; default: %(default)s")
    parser.add_argument(
        "--most-fired",
        type=float,
        default=0.05,
        help="share of absent names that may be reported at the threshold; default: %(default)s",
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of scenes and of absent names")
    parser.add_argument("--offline", action="store_true", help="never touch a network")
    return parser


def halves(arguments: argparse.Namespace, skipped: Skipped) -> tuple[Iterable[Labelled], Iterable[Labelled]]:
    """Rooms of two seeds, or the first and the second half of a folder: neighbours stay together.

    skipped: notes files of the folder that cannot be read.
    """
    seed, absent = arguments.seed, arguments.absent
    if arguments.data == HOUSEHOLD:
        scenes = (arguments.scenes + 1) // 2, arguments.scenes // 2
        first, second = (
            household(seed + k, n, absent, arguments.offline, VIEWS) for k, n in enumerate(scenes)
        )
        return first, second
    folder = LabelledFolder(Path(arguments.data), skipped)
    middle = (len(folder.pairs) + 1) // 2
    return (
        folder.images(folder.pairs[:middle], seed, absent),
        folder.images(folder.pairs[middle:], seed + 1, absent),
    )


def _pipeline(arguments: argparse.Namespace) -> Pipeline:
    """With the models' own calibration, whatever the cache holds."""
    from perception_contrast.encoders.load_encoders import load_encoders

    if arguments.language_model == "none":
        raise PerceptionError("words are calibrated, so there must be a language model; not 'none'")
    return Pipeline(load_encoders(arguments.model, arguments.language_model, offline=arguments.offline))


def _require_sane(arguments: argparse.Namespace) -> None:
    if arguments.scenes < 2 or arguments.absent < 0 or not 0.0 <= arguments.most_fired <= 1.0:
        raise PerceptionError("--scenes is 2 or more, --absent 0 or more, --most-fired in [0, 1]")


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
    at_levels = gathered(pipeline, track(first, "to fit to", total=None), levels)
    chosen = best_level(levels, at_levels, arguments.method, arguments.most_fired)
    (held_out,) = gathered(pipeline, track(second, "held out", total=None), [levels[chosen]])
    for reason in skipped.files.values():
        print(f"left out: {reason}")
    done = fit_words(
        pipeline, levels[chosen], at_levels[chosen], held_out, arguments.method, arguments.most_fired
    )
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
    frames = sampled_frames(arguments.unlabelled, arguments.frames, arguments.topic)
    pipeline = _pipeline(arguments)
    seen = iter(track(frames, "frames", total=arguments.frames))
    level = measure_level(pipeline, seen, arguments.place, arguments.most_fired)
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
    print(f"detection threshold: {before.detection:.3f} before, {stored.words.detection:.3f} after")
    print(f"seed of regions: {before.seed:.2f} before, {stored.words.seed:.2f} after")
