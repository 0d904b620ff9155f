"""The losses of a batch side by side, with all negatives and without false ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from nicegui import ui


@dataclass(frozen=True)
class LossText:
    """title, formula and meaning of a loss, in plain words."""

    title: str
    formula: str
    meaning: str


LOSSES: Mapping[str, LossText] = {
    "clip": LossText(
        "Symmetric InfoNCE (CLIP)",
        "mean of -log softmax(cosine / temperature) at the own partner, along rows and along columns",
        "Each item must find its own partner among all of the batch, and each partner its item.",
    ),
    "sigmoid": LossText(
        "Sigmoid loss (SigLIP)",
        "sum over pairs of -log sigmoid(+/- (cosine / temperature + bias)), divided by the number of rows",
        "Each pair is judged by itself: together or not. No pair competes with another.",
    ),
    "nt_xent": LossText(
        "NT-Xent (SimCLR)",
        "mean of -log softmax(cosine / temperature) at the other view, among all 2 B - 1 other vectors",
        "As InfoNCE, but items also compete with items of their own side.",
    ),
}


class LossCards:
    """A card for each loss."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[ui.label, ui.label]] = {}
        with ui.row().classes("full-width q-col-gutter-sm").style("margin: 0; gap: 0"):
            for name, text in LOSSES.items():
                with ui.column().classes("col-12 col-sm-4"), ui.card().classes("full-width q-pa-md"):
                    self._card(name, text)

    def _card(self, name: str, text: LossText) -> None:
        ui.label(text.title).classes("text-subtitle2")
        value = ui.label("-").classes("text-h5").props(f'data-testid="loss-{name}" role=status')
        other = ui.label().classes("text-caption studio-wrap").props(f'data-testid="other-{name}"')
        ui.label(text.meaning).classes("text-body2")
        ui.label(text.formula).classes("text-caption").style("opacity: .8")
        self._values[name] = (value, other)

    def show(
        self, losses: Mapping[str, Mapping[str, float]], count: int, *, masked: bool, has_near: bool
    ) -> None:
        """Shows the numbers that training's functions gave.

        Args:
            losses: As of ``tasks.training.contrastive_losses.compare``.
            count: Pairs of the batch.
            masked: Whether near frames are left out.
            has_near: Whether there are any.
        """
        for name, (value, other) in self._values.items():
            both = losses[name]
            chosen, rest = ("masked", "all") if masked else ("all", "masked")
            value.set_text(f"{both[chosen]:.6f}")
            value.props(f'data-value="{both[chosen]!r}"')
            what = "with all negatives" if masked else "without near frames"
            lines = [f"{what}: {both[rest]:.6f}"] if has_near else []
            if name == "clip":
                lines.append(f"guessing gives log({count}) = {math.log(count):.3f}")
            other.set_text("; ".join(lines))
