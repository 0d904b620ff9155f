"""Figures that a part of a report gives, with what is aimed at, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

AimKind = Literal["at most", "at least"]


@dataclass(frozen=True)
class Figure:
    """A number of a report.

    Attributes:
        name: what was measured.
        value: the number.
        unit: "" for a ratio or a cosine.
        aim: what is aimed at, None for a figure without an aim.
        aim_kind: on which side of the aim the value is to be.
    """

    name: str
    value: float
    unit: str = ""
    aim: float | None = None
    aim_kind: AimKind = "at most"

    @property
    def shown(self) -> str:
        """The value with its unit."""
        return f"{self.value:.4g} {self.unit}".rstrip()

    @property
    def aim_shown(self) -> str:
        """What is aimed at, in words; "" without an aim."""
        return "" if self.aim is None else f"{self.aim_kind} {self.aim:g} {self.unit}".rstrip()

    @property
    def reached(self) -> bool | None:
        """Whether the value is on the right side of its aim; None without one."""
        if self.aim is None:
            return None
        return self.value <= self.aim if self.aim_kind == "at most" else self.value >= self.aim


@dataclass
class PartResult:
    """What a part gave.

    Attributes:
        figures: in the order in which they are shown.
        missing: what was not measured, to the reason.
        notes: what a reader has to know, such as random weights.
    """

    figures: list[Figure] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def as_mapping(self) -> dict[str, Any]:
        """As JSON types, for ``from_mapping``."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, held: Mapping[str, Any]) -> PartResult:
        """Raises KeyError and TypeError for what ``as_mapping`` did not give."""
        figures = [Figure(**one) for one in held["figures"]]
        return cls(figures, dict(held["missing"]), list(held["notes"]))
