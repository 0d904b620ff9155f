"""Looks at what steps give, outside of the loop, and raises an alarm if that stays wrong."""

from __future__ import annotations

import math
from collections import deque

import torch
from torch import Tensor

from perception_contrast_training.config.run_settings import MonitorSettings
from perception_contrast_training.engine.trainer import WEIGHT_NORM, Step
from perception_contrast_training.monitors.collapse import (
    CURES,
    Alarm,
    assignment_alarms,
    assignment_figures,
    gradient_alarms,
    loss_alarms,
    negative_alarms,
    negative_figures,
    rate_alarms,
    vector_alarms,
    vector_figures,
)
from perception_contrast_training.monitors.measures import HARDEST, MARGINS, RIVALLED

RECENT = 100  # steps that say what is usual of losses and norms
KINDS = tuple(CURES)


class Watcher:
    """settings: of the recipe. steps: of the whole run. images: of a step.

    An alarm comes once, if ``patience`` looks on end agree, and not before the grace has passed unless
    the run had been healthy.
    """

    def __init__(self, settings: MonitorSettings, steps: int, images: int) -> None:
        self.settings = settings
        self._images = images
        self._grace = max(settings.patience * settings.every, int(settings.grace * steps))
        self._kept: dict[str, deque[Tensor]] = {}
        self._norms: deque[float] = deque(maxlen=RECENT + settings.every)
        self._losses: deque[float] = deque(maxlen=RECENT)
        self._weights: deque[float] = deque(maxlen=RECENT)
        self._ill = dict.fromkeys(KINDS, 0)
        self._healthy: set[str] = set()
        self._told: set[str] = set()

    def look(self, step: Step) -> tuple[dict[str, float], list[Alarm]]:
        """Figures by name, empty between looks, and what is wrong."""
        if self.settings.alarms == "none":
            return {}, []
        for name, value in step.watched.items():
            self._keep(name, value)
        of_steps = ((self._norms, "gradient norm"), (self._losses, "loss"), (self._weights, WEIGHT_NORM))
        for kept, name in of_steps:
            if math.isfinite(figure := step.figures.get(name, math.nan)):
                kept.append(figure)
        if step.step % self.settings.every:
            return {}, []
        figures, wrong = self._figures()
        wrong += loss_alarms(self._losses, self._images)
        wrong += gradient_alarms(list(self._norms), self.settings.every)
        wrong += rate_alarms(self._weights)
        return figures, self._agreed(step.step, {alarm.kind: alarm for alarm in wrong})

    def _keep(self, name: str, value: Tensor) -> None:
        """The newest rows, of as many steps as it takes."""
        kept = self._kept.setdefault(name, deque())
        kept.append(value.detach().float().cpu())
        while len(kept) > 1 and sum(len(v) for v in kept) - len(kept[0]) >= self.settings.rows:
            kept.popleft()

    def _rows(self, name: str) -> Tensor | None:
        """(n, c), or None where nothing, or nothing finite, is there."""
        kept = self._kept.get(name)
        if not kept:
            return None
        rows = torch.cat(list(kept))[-self.settings.rows :]
        return rows if len(rows) > 2 and bool(rows.isfinite().all()) else None

    def _figures(self) -> tuple[dict[str, float], list[Alarm]]:
        figures: dict[str, float] = {}
        wrong: list[Alarm] = []
        vectors, compared, choices = map(self._rows, ("embedding", "projection", "teacher"))
        if vectors is not None:
            figures |= vector_figures(vectors, self._rows("positive"))
            wrong += vector_alarms(figures, len(vectors), vectors.shape[1])
        if compared is not None:
            seen = vector_figures(compared)
            figures |= {f"projection {name}": value for name, value in seen.items()}
            wrong += vector_alarms(seen, len(compared), compared.shape[1], "projection")
        if choices is not None:
            figures |= assignment_figures(choices)
            wrong += assignment_alarms(figures)
        measured = {
            name: rows for name in (HARDEST, MARGINS, RIVALLED) if (rows := self._rows(name)) is not None
        }
        if MARGINS in measured:
            figures |= (seen := negative_figures(measured))
            wrong += negative_alarms(seen)
        return figures, wrong

    def _agreed(self, step: int, wrong: dict[str, Alarm]) -> list[Alarm]:
        """Those that have stood long enough."""
        found = []
        for kind in KINDS:
            if kind not in wrong:
                self._ill[kind] = 0
                self._healthy.add(kind)
                continue
            self._ill[kind] += 1
            ripe = step >= self._grace or kind in self._healthy
            if ripe and self._ill[kind] >= self.settings.patience and kind not in self._told:
                self._told.add(kind)
                found.append(wrong[kind])
        return found
