"""Losses and their gradients against other libraries, in blocks, by shares of rows, and in half precision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from small_methods import pictures
from torch import Tensor

from perception_contrast_training import losses
from perception_contrast_training.losses.blocks import cross_entropy_in_place, sum_of_blocks

Pair = Callable[[Tensor, Tensor], Tensor]


@pytest.fixture(autouse=True)
def float64():
    """Some libraries keep temperatures as tensors of the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def same(record, ours: Pair, theirs: Pair, inputs: list[Tensor], exact: float = 1e-10) -> None:
    """Values and gradients of all inputs."""
    worst, found = 0.0, []
    for loss in (ours, theirs):
        leaves = [x.clone().requires_grad_() for x in inputs]
        value = loss(*leaves)
        value.backward()
        found.append([value.detach(), *(leaf.grad for leaf in leaves)])
    for one, other in zip(*found, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            worst = max(worst, float((one - other).abs().max()))
    record("largest difference", worst)
    assert worst < exact


@pytest.mark.parametrize("temperature", [0.07, 0.1, 0.5])
@pytest.mark.parametrize("chunk", [0, 3])
def test_nt_xent_is_lightlys_and_metric_learnings(temperature, chunk, record_property) -> None:
    from lightly.loss import NTXentLoss
    from pytorch_metric_learning.losses import NTXentLoss as MetricLearning
    from pytorch_metric_learning.losses import SelfSupervisedLoss

    inputs = list(pictures(2, 7, 12))
    ours = lambda a, b: losses.nt_xent(a, b, temperature, chunk)  # noqa: E731
    same(record_property, ours, NTXentLoss(temperature=temperature), inputs)
    # A small constant of theirs for float64 keeps a few digits.
    theirs = SelfSupervisedLoss(MetricLearning(temperature=temperature), symmetric=True)
    same(record_property, ours, theirs, inputs, 1e-9)


def test_byol_loss_is_lightlys_cosine(record_property) -> None:
    from lightly.loss import NegativeCosineSimilarity

    theirs = NegativeCosineSimilarity()
    same(
        record_property,
        losses.byol_loss,
        lambda p, z: 2 + 2 * theirs(p, z.detach()),
        list(pictures(2, 7, 12)),
    )


@pytest.mark.parametrize("small", [0, 3])
def test_dino_loss_is_lightlys(small, record_property) -> None:
    from lightly.loss import DINOLoss

    center = pictures(9, seed=3)
    theirs = DINOLoss(9)
    theirs.center.copy_(center.reshape(1, 1, -1))
    teacher = list(pictures(2, 4, 9, seed=2))
    same(
        record_property,
        lambda *s: losses.dino_loss(s, teacher, 0.1, 0.04, center),
        lambda *s: theirs(teacher, list(s), teacher_temp=0.04),
        list(pictures(2 + small, 4, 9)),
    )


def test_ibot_loss_is_lightlys(record_property) -> None:
    from lightly.loss import IBOTPatchLoss

    mask = torch.rand(3, 16, generator=torch.Generator().manual_seed(1)) < 0.4
    mask[1] = False
    teacher = pictures(3, 16, 9, seed=2)
    same(
        record_property,
        lambda s: losses.ibot_loss(s, teacher, mask, 0.1, 0.05),
        lambda s: IBOTPatchLoss(9, teacher_temp=0.05)(teacher[mask], s[mask], mask.reshape(3, 4, 4)),
        [pictures(3, 16, 9)],
    )


def test_koleo_loss_is_lightlys(record_property) -> None:
    from lightly.loss import KoLeoLoss

    same(record_property, losses.koleo_loss, KoLeoLoss(), [pictures(9, 6)])


@pytest.mark.parametrize("iterations", [1, 3])
def test_sinkhorn_knopp_is_swavs_in_lightly(iterations) -> None:
    from lightly.loss.swav_loss import sinkhorn

    logits = pictures(12, 5)
    ours = losses.sinkhorn_knopp(logits, 0.1, iterations)
    torch.testing.assert_close(ours, sinkhorn(logits.clone(), iterations, 0.1), rtol=1e-10, atol=1e-12)


def test_sinkhorn_knopp_survives_prototypes_that_nobody_wants() -> None:
    logits = torch.zeros(4, 3, dtype=torch.float32)
    logits[:, 2] = -1e4
    shares = losses.sinkhorn_knopp(logits, 0.04)
    assert torch.isfinite(shares).all() and torch.allclose(shares.sum(1), torch.ones(4).float())


@pytest.mark.parametrize("chunk", [0, 2, 7])
def test_clip_loss_is_open_clips_in_any_blocks(chunk, record_property) -> None:
    from open_clip.loss import ClipLoss

    def theirs(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
        return ClipLoss()(F.normalize(image, dim=-1), F.normalize(text, dim=-1), scale)

    inputs = [*pictures(2, 7, 12), torch.tensor(20.0)]
    same(record_property, lambda i, t, s: losses.clip_loss(i, t, s, chunk), theirs, inputs)


LOSSES = {
    "nt_xent": lambda a, b, s, rows=None: losses.nt_xent(a, b, 1 / 10.0, 2, rows) + 0 * s,
    "clip": lambda a, b, s, rows=None: losses.clip_loss(a, b, s, 2, rows),
    "siglip": lambda a, b, s, rows=None: losses.sigmoid_loss(a, b, s, -3.0, 2, rows),
}


@pytest.mark.parametrize("name", LOSSES)
def test_parts_of_all_rows_add_up_to_the_loss(name, record_property) -> None:
    loss = LOSSES[name]
    inputs = [*pictures(2, 9, 5), torch.tensor(10.0)]
    shares = lambda *x: loss(*x, (0, 2)) + loss(*x, (2, 3)) + loss(*x, (3, 9))  # noqa: E731
    same(record_property, loss, shares, inputs, 1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_blocks_hold_no_table_of_all_rows(name) -> None:
    """The largest tensor that is kept for the backward pass is far smaller than rows by rows."""
    rows, sizes = 64, []
    a, b = (x.requires_grad_() for x in pictures(2, rows, 5))
    with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
        LOSSES[name](a, b, torch.tensor(10.0, requires_grad=True)).backward()
    assert sizes and max(sizes) < rows * rows / 2


@pytest.mark.parametrize("rows", [(0, 10), (4, 9)])
def test_blocks_have_the_gradient_of_the_whole_table_whenever_it_is_asked_for(rows: tuple[int, int]) -> None:
    """Of a cross-entropy that torch works out whole: rows, columns, scale and bias."""
    chance = torch.Generator().manual_seed(2)
    some, every = (torch.randn(10, 4, generator=chance, dtype=torch.float64) for _ in range(2))
    inputs = [some, every, torch.tensor(3.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)]
    inputs = [x.requires_grad_() for x in inputs]
    target = torch.arange(10).flip(0)

    def judge(start: int, table: torch.Tensor) -> torch.Tensor:
        return cross_entropy_in_place(table, target[start : start + len(table)])

    first, second = inputs[:2]
    found = sum_of_blocks(judge, rows, 3, first, second, inputs[2], inputs[3])
    table = inputs[2] * first[rows[0] : rows[1]] @ second.T + inputs[3]
    expected = torch.nn.functional.cross_entropy(table, target[rows[0] : rows[1]], reduction="sum")
    assert float(found.detach()) == pytest.approx(float(expected.detach()), abs=1e-9)
    right = torch.autograd.grad(expected, inputs)
    for times in (1.0, 3.0):
        slopes = torch.autograd.grad(times * found, inputs, retain_graph=True)
        for slope, wanted in zip(slopes, right, strict=True):
            assert torch.allclose(slope, times * wanted, rtol=0, atol=1e-9)


# Negatives that are left out.


def allowed(count: int, share: float = 0.5) -> Tensor:
    """(count, count) bool, symmetric, true nowhere on the diagonal; its first row is false."""
    drawn = torch.rand(count, count, generator=torch.Generator().manual_seed(4)) < share
    found = (drawn | drawn.T) & ~torch.eye(count, dtype=torch.bool)
    found[0] = found[:, 0] = False
    return found


def theirs_nt_xent(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """torch's cross-entropy of a table whose other entries are minus infinity."""
    count = len(a)
    views = F.normalize(torch.cat([a, b]), dim=-1)
    target = torch.arange(2 * count).roll(count)
    keep = mask | F.one_hot(target, 2 * count).bool()
    return F.cross_entropy(torch.where(keep, views @ views.T / 0.1, -torch.inf), target)


def theirs_clip(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    keep = mask | torch.eye(len(a), dtype=torch.bool)
    logits = torch.where(keep, 10 * F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T, -torch.inf)
    target = torch.arange(len(a))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def theirs_sigmoid(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """torch's binary cross-entropy with weight 0 for what is left out."""
    match = torch.eye(len(a))
    logits = 10 * F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T - 3
    weight = (mask | match.bool()).double()
    return F.binary_cross_entropy_with_logits(logits, match, weight, reduction="sum") / len(a)


MASKED = {
    "nt_xent": (lambda a, b, **o: losses.nt_xent(a, b, 0.1, **o), theirs_nt_xent, 2),
    "clip": (lambda a, b, **o: losses.clip_loss(a, b, 10.0, **o), theirs_clip, 1),
    "siglip": (lambda a, b, **o: losses.sigmoid_loss(a, b, 10.0, -3.0, **o), theirs_sigmoid, 1),
}


@pytest.mark.parametrize("chunk", [0, 2, 7])
@pytest.mark.parametrize("name", MASKED)
def test_left_out_negatives_are_torchs_entropies_without_them(name, chunk, record_property) -> None:
    ours, theirs, views = MASKED[name]
    mask = allowed(7 * views)
    inputs = list(pictures(2, 7, 12))
    same(
        record_property,
        lambda a, b: ours(a, b, chunk=chunk, negatives=mask),
        lambda a, b: theirs(a, b, mask),
        inputs,
    )
    # Of rows that are asked for, and by shares of rows.
    asked = []

    def rows(start: int, stop: int) -> Tensor:
        asked.append(stop - start)
        return mask[start:stop]

    shares = lambda a, b: sum(  # noqa: E731
        ours(a, b, chunk=chunk, rows=part, negatives=rows) for part in ((0, 3), (3, 7))
    )
    same(record_property, shares, lambda a, b: theirs(a, b, mask), inputs)
    assert not chunk or max(asked) <= chunk


@pytest.mark.parametrize("name", MASKED)
def test_all_negatives_change_nothing_and_a_left_out_one_has_no_gradient(name) -> None:
    loss, _, views = MASKED[name]
    a, b = pictures(2, 5, 6)
    every = torch.ones(5 * views, 5 * views, dtype=torch.bool)
    torch.testing.assert_close(loss(a, b, negatives=every), loss(a, b), rtol=0, atol=1e-14)
    # The first two pictures are near each other: of the first one's part the second gets no gradient.
    for view in range(views):
        for other in range(views):
            every[5 * view, 5 * other + 1] = every[5 * other + 1, 5 * view] = False
    for apart, moved in ((None, True), (every, False)):
        leaves = [x.clone().requires_grad_() for x in (a, b)]
        loss(*leaves, rows=(0, 1), negatives=apart).backward()
        slope = sum(float(leaf.grad[1].abs().max()) for leaf in leaves if leaf.grad is not None)
        assert (slope > 0) == moved
    nothing = torch.zeros_like(every)
    leaves = [x.clone().requires_grad_() for x in (a, b)]
    alone = loss(*leaves, negatives=nothing)
    alone.backward()
    assert alone.isfinite() and all(leaf.grad.isfinite().all() for leaf in leaves)
