"""The losses that the similarity page shows, against PyTorch's own functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.tasks.training.contrastive_losses import compare
from perception_contrast_studio.tasks.training.pair_batch import toy

COUNT, BIAS = 12, -4.0


def compared(batch: dict[str, Any], temperature: float = 0.1, **more: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"seconds": 10.0, "metres": 0.0, "masked": False, "table": "rows", **more}
    where = settings.pop("where", None)
    return compare(None, batch["first"], batch["second"], temperature, BIAS, where, **settings)


def moments(seconds: list[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(n, 2, 7) of frames of one recording, whose places nobody knows."""
    rows = [[number, 0.0, time, 0.0, np.nan, np.nan, np.nan] for number, time in enumerate(seconds)]
    return np.repeat(np.array(rows)[:, None], 2, axis=1)


@pytest.mark.parametrize("temperature", [0.01, 0.07, 1.0])
def test_the_losses_are_those_of_cross_entropy_and_of_logistic_regression(temperature: float) -> None:
    batch = toy(None, COUNT, 1.0, 3)
    found = compared(batch, temperature)
    a, b = (F.normalize(torch.from_numpy(batch[side]).double(), dim=1) for side in ("first", "second"))
    logits, own = a @ b.T / temperature, torch.arange(COUNT)
    clip = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    truth = torch.eye(COUNT, dtype=torch.float64)
    sigmoid = F.binary_cross_entropy_with_logits(logits + BIAS, truth, reduction="sum") / COUNT
    views = torch.cat([a, b])
    others = (views @ views.T / temperature).masked_fill(torch.eye(2 * COUNT, dtype=torch.bool), -torch.inf)
    nt_xent = F.cross_entropy(others, (torch.arange(2 * COUNT) + COUNT) % (2 * COUNT))
    for name, wanted in (("clip", clip), ("sigmoid", sigmoid), ("nt_xent", nt_xent)):
        assert found["losses"][name]["all"] == pytest.approx(wanted.item(), rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(found["table"], logits.softmax(1).numpy(), atol=1e-5)


def test_near_frames_are_left_out_of_the_masked_loss_and_of_the_table() -> None:
    batch = toy(None, COUNT, 1.0, 4)
    where = moments([30.0 * (number // 2) + number % 2 for number in range(COUNT)])
    found = compared(batch, where=where, masked=True)
    pairs = np.kron(np.eye(COUNT // 2, dtype=bool), ~np.eye(2, dtype=bool))
    assert np.array_equal(found["near"], pairs) and np.array_equal(np.isnan(found["table"]), pairs)
    a, b = torch.from_numpy(batch["first"]).double(), torch.from_numpy(batch["second"]).double()
    logits = (a @ b.T / 0.1).masked_fill(torch.from_numpy(pairs), -torch.inf)
    own = torch.arange(COUNT)
    wanted = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    assert found["losses"]["clip"]["masked"] == pytest.approx(wanted.item(), rel=1e-5)
    assert found["losses"]["clip"]["masked"] < found["losses"]["clip"]["all"]
    assert not any(pair["near"] for pair in found["hardest"])
    unruled = compared(batch, where=where, seconds=0.0)
    assert not unruled["near"].any()


@pytest.mark.parametrize("masked", ["all", "masked"])
def test_the_rows_of_a_loss_have_it_as_their_mean(masked: str) -> None:
    found = compared(toy(None, COUNT, 1.0, 5), where=moments([2.0 * number for number in range(COUNT)]))
    for name, rows in found["rows"].items():
        assert np.mean(rows[masked]) == pytest.approx(found["losses"][name][masked], rel=1e-5)


def test_the_hardest_negatives_are_the_wrong_pairs_of_largest_cosine() -> None:
    batch = toy(None, COUNT, 1.0, 6)
    cosines = batch["first"].astype(np.float64) @ batch["second"].T
    np.fill_diagonal(cosines, -2.0)
    best = np.unravel_index(cosines.argmax(), cosines.shape)
    first = compared(batch)["hardest"][0]
    assert (first["row"], first["column"]) == best and first["cosine"] == pytest.approx(
        cosines.max(), abs=1e-6
    )


def test_a_temperature_of_nothing_is_refused() -> None:
    with pytest.raises(PerceptionError, match="temperature of 0"):
        compared(toy(None, 2, 0.1, 0), temperature=0.0)
