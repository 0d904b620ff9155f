"""Losses against golden numbers, other libraries, and their equations written out in plain loops."""

from __future__ import annotations

import doctest
import importlib
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from perception_contrast_training.losses import (
    category_loss,
    clip_loss,
    mask_loss,
    presence_loss,
    supervised_contrastive_loss,
)

ROWS, COLUMNS = 8, 16


def golden(phase: float) -> Tensor:
    """sin(0.37 k + phase), each row a tenth larger than the one before; float64 (8, 16)."""
    k = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    return torch.from_numpy(np.sin(0.37 * k + phase) * (1 + 0.1 * np.arange(ROWS))[:, None])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def entropy(logit: float, target: float) -> float:
    p = sigmoid(logit)
    return -(target * math.log(p) + (1 - target) * math.log(1 - p))


# Contrastive losses.


def test_clip_loss_gives_the_golden_number() -> None:
    loss = clip_loss(golden(0.0), golden(0.6), 1 / 0.07)
    assert float(loss) == pytest.approx(2.633435545502, abs=1e-10)


@pytest.mark.parametrize("scale", [1.0, 14.3, 100.0])
def test_clip_loss_is_open_clips(scale: float) -> None:
    from open_clip.loss import ClipLoss

    torch.manual_seed(0)
    image, text = torch.randn(2, 7, 12, dtype=torch.float64).unbind()
    unit = torch.nn.functional.normalize
    theirs = ClipLoss()(unit(image, dim=-1), unit(text, dim=-1), torch.tensor(scale, dtype=torch.float64))
    assert float(clip_loss(image, text, scale)) == pytest.approx(float(theirs), rel=1e-12)


@pytest.mark.parametrize(("temperature", "expected"), [(0.1, 2.702583750450), (0.5, 2.247388658158)])
def test_multi_positive_loss_is_nt_xent_with_one_positive_a_row(temperature: float, expected: float) -> None:
    """NT-Xent is the same sum with the other view as the only positive and oneself left out."""
    views = torch.nn.functional.normalize(torch.cat([golden(0.0), golden(0.6)]), dim=-1)
    oneself = torch.eye(2 * ROWS, dtype=torch.bool)
    positive = oneself.roll(ROWS, dims=1)
    loss = supervised_contrastive_loss(views @ views.T / temperature, positive, oneself)
    assert float(loss) == pytest.approx(expected, abs=1e-10)


def supcon(logits: Tensor, positive: Tensor, ignored: Tensor) -> float:
    """Equation 2 of Khosla et al. (2020), term by term, averaged over rows with a positive."""
    rows = []
    for i in range(len(logits)):
        among = [j for j in range(logits.shape[1]) if positive[i, j] or not ignored[i, j]]
        wanted = [j for j in among if positive[i, j]]
        if not wanted:
            continue
        below = sum(math.exp(float(logits[i, j])) for j in among)
        terms = [math.log(math.exp(float(logits[i, p])) / below) for p in wanted]
        rows.append(-sum(terms) / len(wanted))
    return sum(rows) / len(rows)


@pytest.mark.parametrize("seed", range(4))
def test_multi_positive_loss_is_the_equation(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(6, 9, generator=generator, dtype=torch.float64)
    positive = torch.rand(6, 9, generator=generator) < 0.3
    ignored = torch.rand(6, 9, generator=generator) < 0.2
    positive[2] = False
    expected = supcon(logits, positive, ignored)
    assert float(supervised_contrastive_loss(logits, positive, ignored)) == pytest.approx(expected, rel=1e-12)


def test_multi_positive_loss_survives_rows_with_nothing_in_them() -> None:
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    positive = torch.zeros(3, 4, dtype=torch.bool)
    assert float(supervised_contrastive_loss(logits, positive)) == 0.0
    positive[0, 1] = True
    ignored = torch.zeros(3, 4, dtype=torch.bool)
    ignored[1] = True
    supervised_contrastive_loss(logits, positive, ignored).backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[1:] == 0).all() and (logits.grad[0] != 0).all()


# Dense losses.


def dense_example(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, 3, 10, generator=generator, dtype=torch.float64)
    target = (torch.rand(2, 3, 10, generator=generator) < 0.4).double()
    target[0, 1] = 0.0
    weight = torch.rand(2, 3, 10, generator=generator, dtype=torch.float64)
    weight[1, 2, :4] = 0.0
    return logits, target, weight


def mask_loss_in_loops(logits: Tensor, target: Tensor, weight: Tensor, focus: float, overlap: float) -> float:
    positive, negative, dice = [], [], []
    for b in range(logits.shape[0]):
        for q in range(logits.shape[1]):
            cells = torch.stack([logits[b, q], target[b, q], weight[b, q]], dim=-1).tolist()
            focal = [(entropy(x, t) * abs(sigmoid(x) - t) ** focus * w, t) for x, t, w in cells]
            area = sum(t * w for _, t, w in cells)
            outside = sum((1 - t) * w for _, t, w in cells)
            negative.append(sum(e for e, t in focal if t == 0) / max(outside, 1))
            if area > 0.5:
                positive.append(sum(e for e, t in focal if t == 1) / max(area, 1))
                common = sum(sigmoid(x) * t * w for x, t, w in cells)
                total = sum(sigmoid(x) * w for x, _, w in cells) + area
                dice.append(1 - (2 * common + 1) / (total + 1))
    mean = 8 * sum(negative) / len(negative)
    return mean + (sum(positive) / len(positive) + overlap * sum(dice) / len(dice) if positive else 0.0)


@pytest.mark.parametrize(("seed", "focus", "overlap"), [(0, 1.0, 0.5), (1, 2.0, 0.5), (2, 0.0, 0.0)])
def test_mask_loss_is_its_sum_written_out(seed: int, focus: float, overlap: float) -> None:
    example = dense_example(seed)
    expected = mask_loss_in_loops(*example, focus, overlap)
    assert float(mask_loss(*example, focus, overlap)) == pytest.approx(expected, rel=1e-10)


def test_mask_loss_of_absent_phrases_is_their_negative_part() -> None:
    logits, target, weight = dense_example(3)
    nothing = torch.zeros_like(target)
    expected = mask_loss_in_loops(logits, nothing, weight, 1.0, 0.5)
    assert float(mask_loss(logits, nothing, weight)) == pytest.approx(expected, rel=1e-10)


def test_cells_of_weight_zero_do_not_count() -> None:
    logits, target, weight = dense_example(4)
    changed, other = logits.clone(), target.clone()
    changed[1, 2, :4] += 5.0
    other[1, 2, :4] = 1 - other[1, 2, :4]
    assert float(mask_loss(changed, other, weight)) == float(mask_loss(logits, target, weight))


def test_a_right_mask_costs_less_than_a_wrong_one() -> None:
    _, target, weight = dense_example(5)
    right, wrong = 12 * (2 * target - 1), -12 * (2 * target - 1)
    assert float(mask_loss(right, target, weight)) < 0.05 < 1.0 < float(mask_loss(wrong, target, weight))


@pytest.mark.parametrize("top", [1, 3, 50])
def test_presence_loss_is_its_sum_written_out(top: int) -> None:
    logits, _, _ = dense_example(6)
    present = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    known = torch.tensor([[True, True, False], [True, False, True]])
    there, away = [], []
    for b in range(2):
        for q in range(3):
            if known[b, q]:
                strongest = sorted((float(x) for x in logits[b, q]), reverse=True)[:top]
                value = entropy(sum(strongest) / len(strongest), float(present[b, q]))
                (there if present[b, q] else away).append(value)
    expected = (sum(there) / len(there) + sum(away) / len(away)) / 2
    assert float(presence_loss(logits, present, known, top)) == pytest.approx(expected, rel=1e-10)
    assert float(presence_loss(logits, present, torch.zeros_like(known), top)) == 0.0


def test_category_loss_is_its_sum_written_out() -> None:
    generator = torch.Generator().manual_seed(7)
    logits = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    weight = torch.rand(9, generator=generator, dtype=torch.float64)
    target = torch.tensor([0, 1, -1, 3, 2, 2, -1, 0, 1])
    weight[3] = 0.0
    total = share = 0.0
    for row, t, w in zip(logits.numpy(), target.tolist(), weight.tolist(), strict=True):
        if t >= 0:
            total += w * (math.log(np.exp(row).sum()) - row[t])
            share += w
    assert float(category_loss(logits, target, weight)) == pytest.approx(total / share, rel=1e-12)
    assert float(category_loss(logits, torch.full((9,), -1), weight)) == 0.0


# Gradients against finite differences.


def test_gradients_are_right() -> None:
    logits, target, weight = (x[:1, :2, :6] for x in dense_example(8))
    free = logits.clone().requires_grad_()
    # Without focus: the weight |p - t| is a constant for the gradient, which differences cannot know.
    assert torch.autograd.gradcheck(lambda x: mask_loss(x, target, weight, focus=0.0), (free,))
    known = torch.ones(1, 2, dtype=torch.bool)
    present = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: presence_loss(x, present, known, 3), (free,))
    rows = free.detach()[0].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: category_loss(x, torch.tensor([5, 2]), torch.tensor([0.3, 1.0]).double()), (rows,)
    )
    positive = torch.tensor([[True, False, True, False, False, False], [False] * 5 + [True]])
    ignored = torch.tensor([[False, True] + [False] * 4, [True] * 2 + [False] * 4])
    assert torch.autograd.gradcheck(lambda x: supervised_contrastive_loss(x, positive, ignored), (rows,))
    pair = tuple(golden(p)[:3, :4].clone().requires_grad_() for p in (0.0, 0.6))
    assert torch.autograd.gradcheck(lambda a, b: clip_loss(a, b, 5.0), pair)


def test_the_focus_of_the_mask_loss_is_no_path_for_gradients() -> None:
    """d/dx of w |p - t| BCE with |p - t| held: |p - t| (p - t) / area, for cells of weight 1."""
    logits = torch.tensor([[[0.7, -1.2, 0.1]]], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[[1.0, 1.0, 1.0]]], dtype=torch.float64)
    mask_loss(logits, target, torch.ones_like(target), overlap=0.0).backward()
    gap = torch.sigmoid(logits.detach()) - target
    assert torch.allclose(logits.grad, gap.abs() * gap / 3, rtol=1e-12)


@pytest.mark.parametrize(
    "name", ["byol", "clip", "dino", "ibot", "koleo", "mae", "ntxent", "siglip", "sinkhorn", "supcon"]
)
def test_the_example_of_a_loss_holds(name: str) -> None:
    module = importlib.import_module(f"perception_contrast_training.losses.{name}")
    found = doctest.DocTestFinder(exclude_empty=True).find(module, globs={**vars(module), "torch": torch})
    runner = doctest.DocTestRunner(verbose=False)
    for example in found:
        runner.run(example)
    assert runner.tries and not runner.failures
