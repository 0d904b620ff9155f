"""Looks at what steps give, and says when a run is collapsing and why."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..loop import Step
from ..settings import Watching
from .measures import alignment, entropies, feature_spread, rank_me, uniformity

SPREAD = 0.1  # of unit vectors, below which they are one: their mean cosine is 0.99
RANK = 0.02  # of what the rank could be
KNOWLEDGE = 0.01  # share of what a teacher's choices could tell apart
EXPLOSION = 100.0  # times the usual norm
RECENT = 200  # steps that say what is usual


@dataclass(frozen=True)
class Alarm:
    """kind: "point", "lines", "prototype", "uniform", "exploding" or "vanishing". text: what and why."""

    kind: str
    text: str


class Watcher:
    """settings: of the recipe. steps: of the whole run.

    An alarm comes once, if ``patience`` looks on end agree, and not before the grace has passed unless
    the run had been healthy.
    """

    def __init__(self, settings: Watching, steps: int) -> None:
        self.settings = settings
        self._grace = max(settings.patience * settings.every, int(settings.grace * steps))
        self._kept: dict[str, deque[Tensor]] = {}
        self._norms: deque[float] = deque(maxlen=RECENT)
        self._ill: dict[str, int] = {}
        self._healthy: set[str] = set()
        self._told: set[str] = set()

    def look(self, step: Step) -> tuple[dict[str, float], list[Alarm]]:
        """Figures by name, empty between looks, and what is wrong."""
        if self.settings.alarms == "off":
            return {}, []
        wrong = list(self._of_gradient(step))
        for name, value in step.watched.items():
            self._keep(name, value)
        if step.step % self.settings.every:
            return {}, self._agreed(step.step, [a for a in wrong if a.kind == "exploding"], partial=True)
        figures, found = self._figures()
        return figures, self._agreed(step.step, [*wrong, *found])

    def _keep(self, name: str, value: Tensor) -> None:
        """The newest rows, of as many steps as it takes."""
        kept = self._kept.setdefault(name, deque())
        kept.append(value.detach().float().cpu())
        while len(kept) > 1 and sum(len(v) for v in kept) - len(kept[0]) >= self.settings.rows:
            kept.popleft()

    def _rows(self, name: str) -> Tensor | None:
        kept = self._kept.get(name)
        return None if not kept else torch.cat(list(kept))[-self.settings.rows :]

    def _figures(self) -> tuple[dict[str, float], list[Alarm]]:
        figures: dict[str, float] = {}
        wrong: list[Alarm] = []
        vectors = self._rows("embedding")
        if vectors is not None and len(vectors) > 1 and bool(vectors.isfinite().all()):
            figures |= _of_vectors(vectors)
            wrong += _wrong_with_vectors(figures, vectors.shape)
            positives = self._rows("positive")
            if positives is not None and positives.shape == vectors.shape:
                figures["alignment"] = alignment(vectors, positives)
        choices = self._rows("teacher")
        if choices is not None and bool(choices.isfinite().all()):
            figures |= _of_choices(choices)
            wrong += _wrong_with_choices(figures)
        return figures, wrong

    def _of_gradient(self, step: Step) -> Iterator[Alarm]:
        norm = step.figures.get("gradient norm", math.nan)
        usual = statistics.median(self._norms) if len(self._norms) >= 20 else math.nan
        if norm > EXPLOSION * usual:
            yield Alarm(
                "exploding",
                f"this is diverging, because the gradient's norm is {norm:.3g}, over {EXPLOSION:.0f} times "
                f"the usual {usual:.3g}: lower optimisation.learning_rate or set optimisation.clip",
            )
        elif norm == 0.0:
            yield Alarm(
                "vanishing",
                "this learns nothing, because the gradient is zero: no trained weight bears on the loss",
            )
        if math.isfinite(norm):
            self._norms.append(norm)

    def _agreed(self, step: int, wrong: list[Alarm], *, partial: bool = False) -> list[Alarm]:
        """Those that have stood long enough. partial: what is not among ``wrong`` was not looked at."""
        kinds = {alarm.kind: alarm for alarm in wrong}
        if not partial:
            for kind in ("point", "lines", "prototype", "uniform", "exploding", "vanishing"):
                if kind not in kinds:
                    self._ill[kind] = 0
                    self._healthy.add(kind)
        found = []
        for kind, alarm in kinds.items():
            self._ill[kind] = self._ill.get(kind, 0) + 1
            ripe = step >= self._grace or kind in self._healthy
            if ripe and self._ill[kind] >= self.settings.patience and kind not in self._told:
                self._told.add(kind)
                found.append(alarm)
        return found


def _of_vectors(vectors: Tensor) -> dict[str, float]:
    return {
        "rank": rank_me(vectors),
        "spread": feature_spread(vectors),
        "uniformity": uniformity(vectors),
    }


def _wrong_with_vectors(figures: Mapping[str, float], shape: torch.Size) -> Iterator[Alarm]:
    most = min(shape)
    if figures["spread"] < SPREAD:
        yield Alarm(
            "point",
            f"this is collapsing, because all pictures get nearly one vector: their spread is "
            f"{figures['spread']:.3f} of 1. Usual causes: nothing keeps different pictures apart (a missing "
            "predictor, stop-gradient, centring or negatives), a temperature that is too high, or too high a "
            "learning rate",
        )
    elif figures["rank"] < max(2.0, RANK * most):
        yield Alarm(
            "lines",
            f"this is collapsing, because vectors use {figures['rank']:.1f} of {most} dimensions (RankMe): "
            "usual causes: a temperature that is too high, crops or colours so strong that nothing else is "
            "left in common, or pictures that are nearly all alike",
        )


def _of_choices(choices: Tensor) -> dict[str, float]:
    of_mean, mean = entropies(choices)
    return {
        "teacher entropy of mean": of_mean,
        "teacher entropy": mean,
        "ln K": math.log(choices.shape[1]),
        "teacher knowledge": (of_mean - mean) / math.log(min(choices.shape))
        if min(choices.shape) > 1
        else 0.0,
    }


def _wrong_with_choices(figures: Mapping[str, float]) -> Iterator[Alarm]:
    """A teacher whose choices tell no pictures apart chooses always the same, or nothing."""
    if figures["teacher knowledge"] > KNOWLEDGE:
        return
    most, mean = figures["ln K"], figures["teacher entropy"]
    if figures["teacher entropy of mean"] < 0.5 * most:
        yield Alarm(
            "prototype",
            f"this is collapsing, because the teacher gives every picture the same prototypes: the entropy "
            f"of its mean choice is {figures['teacher entropy of mean']:.2f} of ln K = {most:.2f}. Usual "
            "causes: no centring, or a centre that follows too slowly",
        )
    else:
        yield Alarm(
            "uniform",
            f"this is collapsing, because the teacher chooses nothing: the entropy of its choices is "
            f"{mean:.2f} of ln K = {most:.2f}. Usual causes: a teacher temperature that is too high, or "
            "centring without sharpening",
        )
