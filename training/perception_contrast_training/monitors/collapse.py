"""What figures say of a run: that it collapses, or learns nothing, and what that usually comes from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, pstdev

from torch import Tensor

from perception_contrast_training.monitors.measures import (
    alignment,
    entropies,
    feature_spread,
    rank_me,
    uniformity,
)

SPREAD = 0.1  # of unit vectors, below which they are one: their mean cosine is 0.99
FLAT = 0.25  # the same of projections, which start far apart: 0.97
RANK = 0.02  # of what the rank could be
FEW = 0.25  # of the entropy that a teacher's choices could have together
KNOWLEDGE = 0.01  # share of what a teacher's choices could tell apart
LEVEL = 0.01  # deviation of the loss of one image, as a share of the loss
EXPLOSION = 100.0  # times the usual norm
LEAST = 20  # steps that say something of losses and norms

_ONE_VECTOR = (
    "nothing keeps different images apart (a missing predictor, stop-gradient, centring or negatives), a "
    "temperature that is too high, or too high a learning rate"
)


@dataclass(frozen=True)
class Alarm:
    """kind: of ``watch.KINDS``. text: what is wrong, and why."""

    kind: str
    text: str


def vector_figures(vectors: Tensor, positives: Tensor | None = None) -> dict[str, float]:
    """Figures of embeddings (n, c), and of those of another view of the same images, if any."""
    found = {"rank": rank_me(vectors), "spread": feature_spread(vectors), "uniformity": uniformity(vectors)}
    if positives is not None and positives.shape == vectors.shape:
        found["alignment"] = alignment(vectors, positives)
    return found


def vector_alarms(
    figures: Mapping[str, float], count: int, channels: int, what: str = "vector"
) -> Iterator[Alarm]:
    """figures: as of ``vector_figures``."""
    most = min(count, channels)
    if figures["spread"] < (FLAT if what == "projection" else SPREAD):
        yield Alarm(
            "point",
            f"this is collapsing, because all images get nearly one {what}: the spread is "
            f"{figures['spread']:.3f} of 1. Usual causes: {_ONE_VECTOR}",
        )
    elif most > 2 and figures["rank"] < max(1.5, RANK * most):
        yield Alarm(
            "lines",
            f"this is collapsing, because {what}s use {figures['rank']:.1f} of {most} dimensions (RankMe). "
            "Usual causes: a temperature that is too high, views so strong that they have little else in "
            "common, or images that are nearly all alike",
        )


def assignment_figures(choices: Tensor) -> dict[str, float]:
    """Figures of a teacher's probabilities (n, k)."""
    of_mean, mean = entropies(choices)
    reachable = math.log(max(2, min(choices.shape)))
    return {
        "teacher entropy of mean": of_mean,
        "teacher entropy": mean,
        "ln K": math.log(choices.shape[1]),
        "reachable entropy": reachable,
        "teacher knowledge": (of_mean - mean) / reachable,
    }


def assignment_alarms(figures: Mapping[str, float]) -> Iterator[Alarm]:
    """A teacher that tells no images apart chooses always the same, or nothing."""
    most, together = figures["ln K"], figures["teacher entropy of mean"]
    if together < FEW * figures["reachable entropy"]:
        yield Alarm(
            "prototype",
            f"this is collapsing, because the teacher gives nearly every image the same prototypes: the "
            f"entropy of its mean choice is {together:.2f}, ln K {most:.2f}. Usual causes: no centring, or a "
            "centre that follows too slowly",
        )
    elif figures["teacher knowledge"] < KNOWLEDGE:
        yield Alarm(
            "uniform",
            f"this is collapsing, because the teacher says the same of every image: the entropy of its "
            f"choices is {figures['teacher entropy']:.2f}, ln K {most:.2f}. Usual causes: a teacher "
            "temperature that is too high, or centring without sharpening",
        )


def loss_alarms(losses: Sequence[float], images: int) -> Iterator[Alarm]:
    """Of the last steps, of ``images`` each. A loss that says something of an image varies from batch to
    batch; one that is the same whatever the batch stands at chance."""
    if len(losses) < LEAST or not fmean(losses):
        return
    deviation = pstdev(losses)
    if deviation * math.sqrt(images) < LEVEL * abs(fmean(losses)):
        yield Alarm(
            "level",
            f"this learns nothing, because the loss is the same whatever the batch: {fmean(losses):.4f}, "
            f"deviation {deviation:.1g}. Usual causes: a temperature that is far too high, a learning "
            "rate of 0, or vectors that are all alike",
        )


def gradient_alarms(norms: Sequence[float], newest: int) -> Iterator[Alarm]:
    """norms: of the last steps, of which the last ``newest`` are judged by the others."""
    before, now = norms[:-newest], norms[-newest:]
    if now and max(now) == 0.0:
        yield Alarm(
            "vanishing",
            "this learns nothing, because the gradient is zero: no trained weight bears on the loss",
        )
    elif len(before) >= LEAST and now and median(now) > EXPLOSION * median(before):
        yield Alarm(
            "exploding",
            f"this is diverging, because the gradient's norm is {median(now):.3g}, over {EXPLOSION:.0f} "
            f"times the usual {median(before):.3g}. Lower optimisation.learning_rate or set "
            "optimisation.clip",
        )
