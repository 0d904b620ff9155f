"""The losses of a batch, by training's own functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.engine.negative_mask import FRAME_POSITIONS, NegativeMask
from perception_contrast_training.losses.clip import clip_loss
from perception_contrast_training.losses.ntxent import nt_xent
from perception_contrast_training.losses.siglip import sigmoid_loss
from perception_contrast_training.losses.unit_vectors import unit
from perception_contrast_training.methods.contrastive_batch import negatives_of

TABLES = ("cosine", "rows", "columns", "sigmoid")
HARDEST = 10
_TIME, _PLACE = 2, 4  # columns of FRAME_POSITIONS


@dataclass(frozen=True)
class _Batch:
    """first, second: (n, c). positions: (n, 2, 7) in radii, None where nobody knows them."""

    first: Tensor
    second: Tensor
    positions: Tensor | None

    def negatives(self, views: int) -> NegativeMask | None:
        """As training makes it of the same batch."""
        return None if self.positions is None else negatives_of({FRAME_POSITIONS: self.positions}, views)

    def near(self) -> Tensor:
        """(n, n) bool: pairs of different items that are no negatives of each other."""
        count = len(self.first)
        mask = self.negatives(1)
        if mask is None:
            return torch.zeros(count, count, dtype=torch.bool)
        return ~mask(0, count) & ~torch.eye(count, dtype=torch.bool)


def compare(
    report: object,
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    temperature: float,
    bias: float,
    where: NDArray[np.float64] | None,
    seconds: float,
    metres: float,
    masked: bool,
    table: str,
) -> dict[str, Any]:
    """Everything that a page shows of a batch at one temperature.

    Args:
        report: Not used.
        first: (n, c) vectors.
        second: (n, c) vectors; row i belongs to row i of ``first``.
        temperature: Divides cosines.
        bias: Added to the logits of the sigmoid loss.
        where: (n, 2, 7) as ``FRAME_POSITIONS`` with radii of 1 s and 1 m, or None.
        seconds: Frames nearer in time than this are no negatives; 0 for no such rule.
        metres: Frames nearer in space than this are no negatives; 0 for no such rule.
        masked: Whether ``table`` and ``hardest`` leave such frames out.
        table: Of TABLES, what the cells show.

    Returns:
        ``losses``: name to ``all`` and ``masked``, the loss with all negatives and without near frames.
        ``rows``: name to the parts of the loss of each row, times n, in the same two ways. ``table``: (n, n)
        float32, NaN where a pair is left out. ``near``: (n, n) bool. ``hardest``: wrong pairs of the largest
        cosine. ``found``: shares of rows, and of columns, whose own partner is the likeliest.

    Raises:
        PerceptionError: A value cannot be.
    """
    if not 0 < temperature < float("inf") or table not in TABLES:
        raise PerceptionError(f"a temperature of {temperature:g} or the table '{table}' cannot be shown")
    positions = None if where is None else scaled_positions(where, seconds, metres)
    batch = _Batch(torch.from_numpy(first), torch.from_numpy(second), positions)
    with torch.inference_mode():
        near = batch.near()
        cosines = unit(batch.first) @ unit(batch.second).T
        plain = cosines / temperature
        logits = plain.masked_fill(near, float("-inf")) if masked else plain
        return {
            "losses": {
                name: {
                    "all": _total(name, batch, temperature, bias, None),
                    "masked": _total(name, batch, temperature, bias, batch.negatives(views)),
                }
                for name, views in (("clip", 1), ("nt_xent", 2), ("sigmoid", 1))
            },
            "rows": {
                name: {"all": _rows(name, scores, None), "masked": _rows(name, scores, near)}
                for name, scores in (("clip", plain), ("sigmoid", plain + bias))
            },
            "table": _table(table, cosines, logits, bias, near if masked else None),
            "near": near.numpy(),
            "hardest": _hardest(cosines, logits, near, masked),
            "found": [_found(logits), _found(logits.T)],
        }


def scaled_positions(where: NDArray[np.float64], seconds: float, metres: float) -> Tensor:
    """Positions in units of the radii within which frames are no negatives; NaN for a rule that is off."""
    found = torch.from_numpy(where).clone()
    found[..., _TIME] = found[..., _TIME] / seconds if seconds else torch.nan
    found[..., _PLACE:] = found[..., _PLACE:] / metres if metres else torch.nan
    return found


def _total(
    name: str, batch: _Batch, temperature: float, bias: float, negatives: NegativeMask | None
) -> float:
    a, b = batch.first, batch.second
    if name == "clip":
        return clip_loss(a, b, 1 / temperature, negatives=negatives).item()
    if name == "sigmoid":
        return sigmoid_loss(a, b, 1 / temperature, bias, negatives=negatives).item()
    return nt_xent(a, b, temperature, negatives=negatives).item()


def _rows(kind: str, logits: Tensor, left_out: Tensor | None) -> list[float]:
    """Part of each row of the loss, times their number: the mean of the list is the loss.

    Calling the loss for each row by itself would take too long for a slider.
    """
    if kind == "clip":
        target = torch.arange(len(logits))
        table = logits if left_out is None else logits.masked_fill(left_out, float("-inf"))
        both = [F.cross_entropy(one, target, reduction="none") for one in (table, table.T)]
        rows = (both[0] + both[1]) / 2
    else:
        sign = 2 * torch.eye(len(logits)) - 1
        terms = -F.logsigmoid(sign * logits)
        # Rows of the sigmoid loss are those of texts, which stand second.
        rows = (terms if left_out is None else terms.masked_fill(left_out, 0.0)).sum(dim=0)
    found: list[float] = rows.tolist()
    return found


def _table(
    kind: str, cosines: Tensor, logits: Tensor, bias: float, left_out: Tensor | None
) -> NDArray[np.float32]:
    shown = {
        "cosine": lambda: cosines,
        "rows": lambda: logits.softmax(dim=1),
        "columns": lambda: logits.softmax(dim=0),
        "sigmoid": lambda: (logits + bias).sigmoid(),
    }[kind]()
    if left_out is not None:
        shown = shown.masked_fill(left_out, torch.nan)
    table: NDArray[np.float32] = shown.numpy().astype(np.float32)
    return table


def _hardest(cosines: Tensor, logits: Tensor, near: Tensor, masked: bool) -> list[dict[str, Any]]:
    """Wrong pairs of the largest cosine, each with the probability that its row gives it."""
    count = len(cosines)
    wrong = ~torch.eye(count, dtype=torch.bool)
    if masked:
        wrong &= ~near
    order = cosines.masked_fill(~wrong, float("-inf")).flatten().argsort(descending=True)
    shares = logits.softmax(dim=1)
    return [
        {
            "row": int(place) // count,
            "column": int(place) % count,
            "cosine": float(cosines.flatten()[place]),
            "probability": float(shares.flatten()[place]),
            "near": bool(near.flatten()[place]),
        }
        for place in order[: min(HARDEST, int(wrong.sum()))]
    ]


def _found(logits: Tensor) -> float:
    """The share of rows whose own partner has the largest logit."""
    own = logits.diagonal()
    return float((logits.amax(dim=1) <= own).float().mean())
