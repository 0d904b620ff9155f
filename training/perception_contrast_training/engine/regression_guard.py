"""Adapting weights that were good can make them worse: before and after, on images that were kept back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.config.pretraining_recipe import PretrainRecipe
from perception_contrast_training.engine.load_run import TrainedRun
from perception_contrast_training.engine.pretraining_data import PretrainingData, held_out_of
from perception_contrast_training.engine.recipe_method import initial_backbone, method_of, towers_of
from perception_contrast_training.evaluation.held_out_figures import TELLING, HeldOut, HeldOutScores
from perception_contrast_training.evaluation.metrics.paired_change import (
    PairedChange,
    fewest_images,
    paired_change,
)
from perception_contrast_training.evaluation.report import Table


class RegressionError(PerceptionError):
    """The adapted encoder is worse than the one it started from."""


@dataclass(frozen=True)
class Verdict:
    """What the guard found.

    Attributes:
        before, after: Figures by name, of which more is better.
        worse: Those that fell by more than allowed.
        share: Of a figure that may be lost.
        judged: Whether anything decides: labels, captions, time or rank.
        changes: The interval of each figure that has one; rank has none, nor have figures of other images.
        undecided: Those that did not fall by more, and whose images are too few to tell.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    worse: tuple[str, ...]
    share: float
    judged: bool
    changes: Mapping[str, PairedChange]
    undecided: tuple[str, ...]

    @property
    def regressed(self) -> bool:
        return bool(self.worse)

    def table(self) -> Table:
        """A row a figure."""
        rows = [
            (name, old, self.after[name], self.after[name] - old, *_cells(self.changes.get(name)))
            for name, old in self.before.items()
        ]
        headings = ("figure", "before", "after", "change", "95 % interval", "images", "needed")
        return Table("Held-out images, before and after", headings, rows)

    def sentences(self) -> list[str]:
        """What the images cannot tell, a sentence each."""
        alone = ["Rank alone decides, and it has no interval: it says little of few images."]
        return (alone if self.before.keys() == {"rank"} else []) + [
            f"The held-out images are too few to tell whether {name} fell by more than {self.share:.1%}: "
            f"{self.changes[name].held}, and about {self.changes[name].needed} are needed. Hold more out in "
            "the next run (data.held_out, measure.images), or compare both encoders on more images by "
            "`perception-contrast train evaluate`."
            for name in self.undecided
        ]

    def stored(self) -> dict[str, Any]:
        return asdict(self)


def _cells(change: PairedChange | None) -> tuple[str | int | None, ...]:
    return (None, None, None) if change is None else (_ends(change), change.held, change.needed)


def _ends(change: PairedChange) -> str:
    return f"{change.low:+.3f} to {change.high:+.3f}"


def judge(before: HeldOutScores, after: HeldOutScores, share: float) -> Verdict:
    """Compares figures of which more is better: those of ``TELLING``.

    Rank alone decides only where nothing else is known: it may fall while an encoder gets better.

    Args:
        before: Scores of the encoder before training.
        after: Scores of the encoder after it, of the same images.
        share: Of a figure that may be lost.

    Returns:
        The verdict. A figure that fell by more is worse even where its interval reaches up to no fall:
        a refusal can be overruled, a worse encoder that was exported is in use.
    """
    old, new = before.figures, after.figures
    both = [n for n in TELLING if n in old and n in new and not math.isnan(old[n])]
    deciding = [name for name in both if name != "rank"] or both
    worse = tuple(name for name in deciding if not new[name] >= old[name] * (1 - share))
    changes = {
        name: paired_change(before.rows[name], after.rows[name], share * old[name])
        for name in both
        if old[name] > 0 and share > 0 and _paired(before.rows.get(name), after.rows.get(name))
    }
    undecided = tuple(
        name
        for name in deciding
        if name in changes and name not in worse and not changes[name].enough
        and changes[name].low < -share * old[name]
    )  # fmt: skip
    return Verdict(
        {n: old[n] for n in both}, {n: new[n] for n in both}, worse, share, bool(deciding), changes, undecided
    )


def _paired(before: Sequence[Tensor] | None, after: Sequence[Tensor] | None) -> bool:
    """Whether both are of as many images: a file may vanish in between."""
    return bool(before and after) and [len(x) for x in before or ()] == [len(x) for x in after or ()]


def compare_with_start(trained: TrainedRun, data: PretrainingData) -> Verdict | None:
    """Of an adapted encoder; None for one from scratch, or where no images were kept back."""
    held_out = held_out_of(trained.recipe, data)
    if not trained.recipe.adapts or held_out is None:
        return None
    return judge(*scores_before_and_after(trained, held_out), trained.recipe.guard.share)


def scores_before_and_after(trained: TrainedRun, held_out: HeldOut) -> tuple[HeldOutScores, HeldOutScores]:
    """Of a run's encoder at its start and as it was trained, on the same images."""
    # As it was before the first step: built again from the same weights.
    recipe = trained.recipe
    with torch.random.fork_rng():
        start = initial_backbone(recipe)
        # Words that began at random had nothing to lose.
        pair = towers_of(method_of(recipe, start)[0]) if recipe.own_words else None
    before = held_out.scores(start, pair=pair, probe=True)
    after = held_out.scores(trained.backbone, pair=trained.pair if recipe.own_words else None, probe=True)
    return before, after


def require_no_regression(verdict: Verdict | None, *, accepted: bool) -> None:
    """Raises RegressionError, with the figures, unless nothing got worse or that was accepted."""
    if verdict is None or not verdict.regressed or accepted:
        return
    fell = ", ".join(_fall(verdict, name) for name in verdict.worse)
    raise RegressionError(
        f"this encoder is worse than the one it started from on held-out images: {fell}; nothing was "
        "exported. Train shorter, lower optimisation.learning_rate, use LoRA or more images; or export it "
        "all the same with --accept-regression"
    )


def _fall(verdict: Verdict, name: str) -> str:
    told = f"{name} {verdict.before[name]:.3f} to {verdict.after[name]:.3f}"
    change = verdict.changes.get(name)
    if change is None:
        return told
    told += f" (95 % interval of the change {_ends(change)}, by {change.held} images"
    return told + (")" if change.enough else f", of which about {change.needed} are needed)")


def few_held_out(recipe: PretrainRecipe, data: PretrainingData) -> str:
    """What to say at the start of a run whose guard will not be able to tell; "" where it may be.

    Args:
        recipe: Of a run.
        data: Its images.
    """
    share = recipe.guard.share
    if not recipe.adapts or not share:
        return ""
    held = 0 if data.held is None else len(data.held)
    counted, needed = min(held, recipe.measure.images or held), fewest_images(share)
    if counted >= needed:
        return ""
    return (
        f"the guard compares encoders by {counted} held-out images; it cannot tell a loss of {share:.1%} by "
        f"fewer than {needed}. Raise data.held_out or measure.images, or gather more images"
    )
