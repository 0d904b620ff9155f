"""Colours of labels and ids that people with any common kind of colour blindness can tell apart."""

from __future__ import annotations

from collections.abc import Iterable

Colour = tuple[int, int, int]
# Okabe and Ito (2008) without black.
BASE: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
)
_SHADES = (1.0, 1.45, 0.62)
MOST_LABELS = 4096


def palette_colour(number: int) -> Colour:
    """RGB of a number: seven colours, then darker and lighter ones of them, then again."""
    base = BASE[number % len(BASE)]
    shade = _SHADES[(number // len(BASE)) % len(_SHADES)]
    if shade <= 1.0:
        return tuple(round(one * shade) for one in base)  # type: ignore[return-value]
    return tuple(round(255 - (255 - one) * (2 - shade)) for one in base)  # type: ignore[return-value]


def css(colour: Colour) -> str:
    """As "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


class LabelColours:
    """Gives each label the next colour when it first appears; it keeps it from then on."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def introduce(self, labels: Iterable[str]) -> None:
        """Gives labels their colours in this order."""
        for label in labels:
            self.of(label)

    def of(self, label: str) -> Colour:
        """RGB of a label."""
        if label not in self._numbers:
            if len(self._numbers) >= MOST_LABELS:
                self._numbers.clear()
            self._numbers[label] = len(self._numbers)
        return palette_colour(self._numbers[label])
