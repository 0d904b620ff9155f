"""What numbers of a recipe may be: what would divide by nothing, or mean nothing, is refused by its name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from perception_contrast.core.errors import RecipeError


@dataclass(frozen=True)
class Range:
    """From ``least`` to ``most``. open: ``least`` itself is not allowed. rising: of two numbers the first is
    not the larger one."""

    least: float = 0.0
    most: float = math.inf
    open: bool = False
    rising: bool = False

    def holds(self, value: float) -> bool:
        return (value > self.least if self.open else value >= self.least) and value <= self.most

    def __str__(self) -> str:
        if math.isinf(self.most):
            return f"above {self.least:g}" if self.open else f"{self.least:g} or more"
        return f"from {self.least:g} to {self.most:g}"


ANY, NUMBER, COUNT = Range(-math.inf), Range(), Range(1)
POSITIVE, SHARE, DROPPED = Range(open=True), Range(0, 1), Range(0, 0.99)
PART = Range(1e-6, 1, rising=True)  # of an image's area

_OF: tuple[tuple[str, Range, str], ...] = (
    ("", NUMBER, "seed epochs"),
    ("data", NUMBER, "workers"),
    ("data", SHARE, "held_out"),
    ("backbone", NUMBER, "size patch width depth heads layer_scale registers stride channels"),
    ("backbone", DROPPED, "drop_path"),
    ("lora", NUMBER, "rank"),
    ("lora", POSITIVE, "alpha"),
    ("lora", DROPPED, "dropout"),
    (
        "optimisation",
        NUMBER,
        "steps micro_batch learning_rate final_rate weight_decay final_decay clip threads",
    ),
    ("optimisation", COUNT, "batch reference_batch most_skipped"),
    ("optimisation", Range(0, 1 - 1e-9), "betas momentum average"),
    ("optimisation", Range(-1), "warm_up"),
    ("checkpoints", COUNT, "every keep"),
    ("monitors", COUNT, "every patience rows"),
    ("monitors", SHARE, "grace"),
    ("measure", NUMBER, "every"),
    ("measure", COUNT, "images"),
    ("guard", SHARE, "share"),
    ("options", POSITIVE, "temperature student_temperature teacher_temperature teacher_temperature_start"),
    ("options", POSITIVE, "scale most_scale"),
    ("options", SHARE, "momentum center_momentum"),
    ("options", Range(1e-6, 1), "layer_decay ratio"),
    ("options", NUMBER, "warm_up_epochs frozen_epochs sinkhorn ibot_weight koleo_weight patch_rate"),
    ("options", NUMBER, "layers table hidden dim dense_weight global_weight angle_weight"),
    ("options", COUNT, "statistics"),
    ("options.cache", NUMBER, "gigabytes"),
    ("options.views", COUNT, "crops"),
    ("options.views", NUMBER, "teacher_size"),
    ("options", COUNT, "bottleneck width depth heads"),
    ("options", Range(2), "prototypes"),
    ("options", ANY, "bias"),
    ("options.text", COUNT, "width depth heads context"),
    ("options.text", NUMBER, "hidden"),
    ("options.views", NUMBER, "size local_size locals strength"),
    ("options.views", PART, "area local_area"),
    ("options.views", SHARE, "flip grey blur solarise masked"),
    ("options.views", Range(0, 1, rising=True), "ratio"),
    ("options.views", Range(0, 0.5), "hue"),
)
RANGES: Mapping[str, Range] = {
    f"{where}.{name}" if where else name: allowed for where, allowed, names in _OF for name in names.split()
}
"""By key. ``data.pairs`` and what depends on other keys is judged where it is used."""


def numbers(stored: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, list[float]]]:
    """The keys of a recipe's mapping that hold numbers, with them."""
    for name, value in stored.items():
        key = f"{where}{name}"
        if isinstance(value, Mapping):
            yield from numbers(value, f"{key}.")
            continue
        held = list(value) if isinstance(value, list | tuple) else [value]
        if held and all(isinstance(one, int | float) and not isinstance(one, bool) for one in held):
            yield key, held


def require_ranges(stored: Mapping[str, Any]) -> None:
    """Raises RecipeError that names the first number of a recipe's mapping that cannot be."""
    for key, held in numbers(stored):
        allowed = RANGES.get(key, ANY)
        if not all(allowed.holds(one) for one in held):
            raise RecipeError(f"'{key}' cannot be {_said(held)}; it must be {allowed}")
        if allowed.rising and held != sorted(held):
            raise RecipeError(f"'{key}' cannot be {_said(held)}: the smaller one stands first")


def _said(held: list[float]) -> str:
    return f"{held[0]:g}" if len(held) == 1 else f"[{', '.join(f'{one:g}' for one in held)}]"
