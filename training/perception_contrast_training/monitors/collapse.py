"""What figures say of a run: that it collapses, diverges or learns nothing, why, and what to change."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, pstdev

from torch import Tensor

from perception_contrast_training.monitors.measures import (
    HARDEST,
    MARGINS,
    RIVALLED,
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
GROWTH = 2.0  # of the weights' norm within ``watch.RECENT`` steps; sound runs stay below 1.5
ONE_NEGATIVE = 0.75  # of the repulsion that one negative gets; at published temperatures a third to a half
MARGIN = 0.5  # deviations by which a positive lies beyond where the nearest of unlike negatives would lie
RIVALS = 0.5  # of the images, that have a negative as near all the same

CURES: Mapping[str, str] = {
    "point": "Lower optimisation.learning_rate, to a tenth first; then take the method's published "
    "options.temperature, predictor, centring and batch_norm",
    "lines": "Lower options.temperature, use milder options.views (a larger area, less colour), or more "
    "varied images (`perception-contrast data dedup`)",
    "prototype": "Set options.centred: true, lower options.center_momentum, or use fewer options.prototypes",
    "uniform": "Lower options.teacher_temperature, to 0.04 first",
    "level": "Lower options.temperature to the published one, raise optimisation.learning_rate above 0, and "
    "look at the images: they may all be alike",
    "exploding": "Lower optimisation.learning_rate or set optimisation.clip",
    "vanishing": "Check what is trained: backbone.frozen, options.text.frozen, lora.rank",
    "rate": "Lower optimisation.learning_rate, to a tenth first, or raise optimisation.warm_up",
    "temperature": "Raise options.temperature: 0.1 to 0.2 for large batches, 0.5 for images of 32 pixels",
    "duplicates": "Leave near-duplicates out (`perception-contrast data dedup`), exclude near frames "
    "(data.pairs.apart_seconds, data.pairs.apart_metres), vary the captions, or choose byol, dino or dinov2, "
    "which have no negatives",
}
"""What to change, by the kind of an alarm."""
ADVISORY = ("temperature", "duplicates")  # the run learns, but less than it could: it is not stopped

_ONE_VECTOR = (
    "nothing keeps different images apart (a missing predictor, stop-gradient, centring or negatives), a "
    "temperature that is too high, or too high a learning rate"
)


@dataclass(frozen=True)
class Alarm:
    """kind: of ``CURES``. text: what is wrong, why, and the cure. stops: whether it may end a run."""

    kind: str
    text: str
    stops: bool = True


def _alarm(kind: str, why: str) -> Alarm:
    return Alarm(kind, f"{why}. {CURES[kind]}", kind not in ADVISORY)


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
        yield _alarm(
            "point",
            f"this is collapsing, because all images get nearly one {what}: the spread is "
            f"{figures['spread']:.3f} of 1. Usual causes: {_ONE_VECTOR}",
        )
    elif most > 2 and figures["rank"] < max(1.5, RANK * most):
        yield _alarm(
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
        yield _alarm(
            "prototype",
            f"this is collapsing, because the teacher gives nearly every image the same prototypes: the "
            f"entropy of its mean choice is {together:.2f}, ln K {most:.2f}. Usual causes: no centring, or a "
            "centre that follows too slowly",
        )
    elif figures["teacher knowledge"] < KNOWLEDGE:
        yield _alarm(
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
        yield _alarm(
            "level",
            f"this learns nothing, because the loss is the same whatever the batch: {fmean(losses):.4f}, "
            f"deviation {deviation:.1g}. Usual causes: a temperature that is far too high, a learning "
            "rate of 0, or vectors that are all alike",
        )


def gradient_alarms(norms: Sequence[float], newest: int) -> Iterator[Alarm]:
    """norms: of the last steps, of which the last ``newest`` are judged by the others."""
    before, now = norms[:-newest], norms[-newest:]
    if now and max(now) == 0.0:
        yield _alarm(
            "vanishing",
            "this learns nothing, because the gradient is zero: no trained weight bears on the loss",
        )
    elif len(before) >= LEAST and now and median(now) > EXPLOSION * median(before):
        yield _alarm(
            "exploding",
            f"this is diverging, because the gradient's norm is {median(now):.3g}, over {EXPLOSION:.0f} "
            f"times the usual {median(before):.3g}",
        )


def rate_alarms(weights: Sequence[float]) -> Iterator[Alarm]:
    """weights: their norm after each of the last steps. A learning rate that is too high makes it grow from
    step to step, whatever the loss says: SimCLR and BYOL go on at chance, without a collapse."""
    if len(weights) > 1 and weights[-1] > GROWTH * weights[0] > 0:
        yield _alarm(
            "rate",
            f"this is diverging, because the weights grew to {weights[-1] / weights[0]:.1f} times what they "
            f"were {len(weights) - 1} steps before (norm {weights[0]:.3g} to {weights[-1]:.3g}): "
            "the learning rate is too high",
        )


def negative_figures(measured: Mapping[str, Tensor]) -> dict[str, float]:
    """measured: as of ``measures.negative_measures``, of the last images."""
    return {
        name: float(value.median() if name == MARGINS else value.mean()) for name, value in measured.items()
    }


def negative_alarms(figures: Mapping[str, float]) -> Iterator[Alarm]:
    """figures: as of ``negative_figures``."""
    if figures[MARGINS] > MARGIN and figures[RIVALLED] > RIVALS:
        yield _alarm(
            "duplicates",
            f"this has false negatives, because {figures[RIVALLED]:.0%} of the images are pushed away from "
            "another that is as near as their own second view or text, though no unlike image comes so near: "
            "there are near-duplicates in a batch",
        )
    if figures.get(HARDEST, 0.0) > ONE_NEGATIVE:
        yield _alarm(
            "temperature",
            f"the temperature is too low, because one negative alone gets {figures[HARDEST]:.0%} of an "
            "image's repulsion, so that chance and near-duplicates decide what is learned",
        )
