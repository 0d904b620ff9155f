"""Regions that a search found, beside whether they are right, and thresholds by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.images.resize import resize_labels
from perception_contrast.pipeline.image_features import ImageFeatures
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.segmentation.calibration import FEATURES, Calibration
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.searcher import ScoredCandidates
from perception_contrast_training.calibration.asked_images import Asked, AskedImage
from perception_contrast_training.evaluation.metrics.reliability import expected_calibration_error
from perception_contrast_training.photographs.naming import Truth

# Down to where an untrained head's logits lie, so that it too gets its best level.
LEVELS = np.arange(-8.0, 3.01, 0.25)
LEAST_PUBLISHED = 10  # regions above a threshold, below which their precision says little

Features = Callable[[ScoredCandidates], dict[int, tuple[float, ...]]]


@dataclass(frozen=True)
class Search:
    """One vocabulary in one image, encoded. asked: in the order of the queries."""

    frame: Frame
    seen: ImageFeatures
    prepared: PreparedQueries
    asked: tuple[Asked, ...]
    group: str


@dataclass(frozen=True)
class JudgedRegions:
    """n regions.

    Attributes:
        features: (n, k) what a calibration looks at.
        correct: (n,) bool.
        group: (n,) the image's source, with ", few" behind it for a small vocabulary.
        name: (n,) number of the name that each was found for, counted through all that was asked.
        present, absent: (names,) bool, of what was asked; neither for what is there by a degree alone.
        images: How many were searched.
    """

    features: NDArray[np.float64]
    correct: NDArray[np.bool_]
    group: NDArray[np.str_]
    name: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    present: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    absent: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    images: int = 0

    @property
    def weights(self) -> NDArray[np.float64]:
        """(n,) so that each group counts alike, 1 on average."""
        _, row, count = np.unique(self.group, return_inverse=True, return_counts=True)
        share: NDArray[np.float64] = len(self.group) / (len(count) * count[row].astype(np.float64))
        return share

    def found(self, reported: NDArray[np.bool_]) -> float:
        """The share of the present names of which a right region is among those reported (n,)."""
        return len(np.unique(self.name[self.correct & reported])) / max(1, int(self.present.sum()))


def joined(parts: Sequence[JudgedRegions]) -> JudgedRegions:
    """Regions of several sets of images as those of one."""
    before = np.cumsum([0, *(len(part.present) for part in parts)])[:-1]
    features = [part.features for part in parts if len(part.features)]
    return JudgedRegions(
        np.concatenate(features) if features else np.zeros((0, len(FEATURES))),
        np.concatenate([part.correct for part in parts]),
        np.concatenate([part.group for part in parts]),
        np.concatenate([part.name + start for part, start in zip(parts, before, strict=True)]),
        np.concatenate([part.present for part in parts]),
        np.concatenate([part.absent for part in parts]),
        sum(part.images for part in parts),
    )


def searches(pipeline: Pipeline, images: Iterable[AskedImage]) -> list[Search]:
    """Encodes images and vocabularies."""
    found: list[Search] = []
    for image in images:
        frame = Frame(image.rgb)
        seen = pipeline.extract_features(frame)
        for number, asked in enumerate(image.vocabularies):
            queries = [Query(one.text) for one in asked]
            prepared = pipeline.prepare(Vocabulary().with_queries(queries))
            group = f"{image.source}, few" if number else image.source
            found.append(Search(frame, seen, prepared, asked, group))
    return found


def best_level(pipeline: Pipeline, asked: Sequence[Search]) -> float:
    """The logit at which masks of present things overlap best with the truth, each source counting alike."""
    totals: dict[str, tuple[NDArray[np.float64], int]] = {}
    for one in asked:
        searcher = pipeline.frame_search.searcher
        logits = searcher.cell_logits(one.seen.semantic, one.seen.features, one.prepared)
        for own, name in zip(logits, one.asked, strict=True):
            if name.present:
                sums, count = totals.get(one.group, (np.zeros(len(LEVELS)), 0))
                totals[one.group] = sums + _overlap_by_level(own, name), count + 1
    if not totals:
        return float(LEVELS[-1])
    mean = sum(sums / count for sums, count in totals.values())
    return float(LEVELS[int(np.argmax(mean))])


def _overlap_by_level(logits: NDArray[np.float32], asked: Asked) -> NDArray[np.float64]:
    """(levels,) IoU of the cells from a logit on with the truth, where something is known."""
    truth = resize_labels(asked.truth, (logits.shape[0], logits.shape[1]))
    true, false = logits[truth == Truth.TRUE], logits[truth == Truth.FALSE]
    inside, outside = (
        np.histogram(values, bins=[*LEVELS, np.inf])[0][::-1].cumsum()[::-1] for values in (true, false)
    )
    return np.asarray(inside / np.maximum(outside + len(true), 1))


def judged(
    pipeline: Pipeline,
    asked: Iterable[Search],
    levels: Calibration | None = None,
    features: Features | None = None,
) -> JudgedRegions:
    """Regions of all queries without a threshold on probability, where enough is known to judge them.

    Args:
        pipeline: That searches.
        asked: Vocabularies in images.
        levels: Seed and low to grow regions with; None: those in force.
        features: Of the candidates that count, by their number; None: all of them by their own features.
    """  # fmt: skip
    rows: list[tuple[float, ...]] = []
    correct: list[bool] = []
    group: list[str] = []
    number_of: list[int] = []
    names: list[Asked] = []
    images, last = 0, None
    for one in asked:
        scored = pipeline.frame_search.searcher.candidates(
            one.frame.image, one.seen.semantic, one.seen.features, one.prepared, levels
        )
        own = dict(enumerate(c.features for c in scored.candidates)) if features is None else features(scored)
        for number, values in own.items():
            candidate = scored.candidates[number]
            right = one.asked[candidate.query].judged(candidate.region, scored.context.map_size)
            if right is not None:
                rows.append(values)
                correct.append(right)
                group.append(one.group)
                number_of.append(len(names) + candidate.query)
        names.extend(one.asked)
        images, last = images + (one.seen is not last), one.seen
    return JudgedRegions(
        np.array(rows, float),
        np.array(correct, bool),
        np.array(group, dtype=np.str_),
        np.array(number_of, np.int64),
        np.array([name.present for name in names], bool),
        np.array([name.absent for name in names], bool),
        images,
    )


def judged_at(
    pipeline: Pipeline, images: Iterable[AskedImage], levels: Sequence[Calibration]
) -> list[JudgedRegions]:
    """Regions grown between each of some levels; an image and its features are kept no longer than needed.

    Raises:
        PerceptionError: There is no image.
    """
    parts: list[list[JudgedRegions]] = [[] for _ in levels]
    for image in images:
        asked = searches(pipeline, [image])
        for kept, level in zip(parts, levels, strict=True):
            kept.append(judged(pipeline, asked, level))
    if levels and not parts[0]:
        raise PerceptionError("no image could be asked for anything; give images that show what is named")
    return [joined(kept) for kept in parts]


def threshold_for_precision(
    probability: NDArray[np.float64], regions: JudgedRegions, least_right: float
) -> float:
    """Lowest threshold in [0.02, 0.9] from which at least a share of the regions is right, in every group.

    Args:
        probability: (n,) of the regions.
        regions: Whether each is right, and its group.
        least_right: The share.
    """
    found = 0.02
    for name in np.unique(regions.group):
        own = regions.group == name
        order = np.argsort(-probability[own], kind="stable")
        precision = np.cumsum(regions.correct[own][order]) / np.arange(1, len(order) + 1)
        good = np.flatnonzero((precision >= least_right) & (np.arange(len(order)) >= LEAST_PUBLISHED - 1))
        lowest = float(probability[own][order][good[-1]]) if len(good) else 0.9
        found = max(found, lowest)
    return min(found, 0.9)


def threshold_for_absent(
    probability: NDArray[np.float64], regions: JudgedRegions, most_fired: float
) -> float:
    """Lowest threshold in [0.02, 0.9] at which at most a share of the absent names is reported.

    Args:
        probability: (n,) of the regions.
        regions: With the names that they were found for.
        most_fired: The share.

    Returns:
        The threshold; 0.5 where nothing absent was asked for.
    """
    if not regions.absent.any():
        return 0.5
    best = np.zeros(len(regions.absent))
    np.maximum.at(best, regions.name, probability)
    return float(np.clip(np.quantile(best[regions.absent], 1 - most_fired) + 1e-3, 0.02, 0.9))


def errors_by_group(probability: NDArray[np.float64], regions: JudgedRegions) -> dict[str, float]:
    """Expected calibration error of each group."""
    return {
        name: expected_calibration_error(
            probability[regions.group == name], regions.correct[regions.group == name]
        )
        for name in np.unique(regions.group).tolist()
    }


def precision_and_recall(
    probability: NDArray[np.float64], regions: JudgedRegions, threshold: float
) -> dict[str, dict[str, float]]:
    """By group: what is published, how much of that is right, and how much of what is right it is."""
    found = {}
    for name in np.unique(regions.group).tolist():
        own, shown = regions.group == name, probability >= threshold
        right = regions.correct & own
        found[name] = {
            "regions": float(own.sum()),
            "published": float((own & shown).sum()),
            "precision": float(regions.correct[own & shown].mean()) if (own & shown).any() else float("nan"),
            "right regions published": float((right & shown).sum() / max(right.sum(), 1)),
        }
    return found
