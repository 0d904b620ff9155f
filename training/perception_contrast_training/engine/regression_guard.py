"""Adapting weights that were good can make them worse: before and after, on images that were kept back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.engine.load_run import TrainedRun
from perception_contrast_training.engine.pretraining_data import PretrainingData, held_out_of
from perception_contrast_training.engine.recipe_method import initial_backbone, method_of, towers_of
from perception_contrast_training.evaluation.held_out_figures import TELLING
from perception_contrast_training.evaluation.report import Table


class RegressionError(PerceptionError):
    """The adapted encoder is worse than the one it started from."""


@dataclass(frozen=True)
class Verdict:
    """before, after: figures by name, of which more is better. worse: those that fell by more than allowed.

    share: of a figure that may be lost. judged: whether anything decides: labels, captions or time.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    worse: tuple[str, ...]
    share: float
    judged: bool

    @property
    def regressed(self) -> bool:
        return bool(self.worse)

    def table(self) -> Table:
        """A row a figure."""
        rows = [(n, self.before[n], self.after[n], self.after[n] - self.before[n]) for n in self.before]
        return Table("Held-out images, before and after", ("figure", "before", "after", "change"), rows)

    def stored(self) -> dict[str, Any]:
        return asdict(self)


def judge(before: Mapping[str, float], after: Mapping[str, float], share: float) -> Verdict:
    """Compares figures of which more is better: those of ``TELLING``.

    Rank alone decides only where nothing else is known: it may fall while an encoder gets better.
    """
    both = [n for n in TELLING if n in before and n in after and not math.isnan(before[n])]
    deciding = [name for name in both if name != "rank"] or both
    worse = tuple(name for name in deciding if not after[name] >= before[name] * (1 - share))
    return Verdict({n: before[n] for n in both}, {n: after[n] for n in both}, worse, share, bool(deciding))


def compare_with_start(trained: TrainedRun, data: PretrainingData) -> Verdict | None:
    """Of an adapted encoder; None for one from scratch, or where no images were kept back."""
    held_out = held_out_of(trained.recipe, data)
    if not trained.recipe.adapts or held_out is None:
        return None
    # As it was before the first step: built again from the same weights.
    recipe = trained.recipe
    with torch.random.fork_rng():
        start = initial_backbone(recipe)
        # Words that began at random had nothing to lose.
        pair = towers_of(method_of(recipe, start)[0]) if recipe.own_words else None
    before = held_out.figures(start, pair=pair, probe=True)
    after = held_out.figures(trained.backbone, pair=trained.pair if recipe.own_words else None, probe=True)
    return judge(before, after, trained.recipe.guard.share)


def require_no_regression(verdict: Verdict | None, *, accepted: bool) -> None:
    """Raises RegressionError, with the figures, unless nothing got worse or that was accepted."""
    if verdict is None or not verdict.regressed or accepted:
        return
    fell = ", ".join(f"{n} {verdict.before[n]:.3f} to {verdict.after[n]:.3f}" for n in verdict.worse)
    raise RegressionError(
        f"this encoder is worse than the one it started from on held-out images: {fell}; nothing was "
        "exported. Train shorter, lower optimisation.learning_rate, use LoRA or more images; or export it "
        "all the same with --accept-regression"
    )
