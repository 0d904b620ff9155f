"""Losses and their gradients against other libraries, in blocks, by shares of rows, and in half precision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from small_methods import images
from torch import Tensor

from perception_contrast_training import losses
from perception_contrast_training.losses.blockwise import cross_entropy_in_place, sum_of_blocks

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

    inputs = list(images(2, 7, 12))
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
        list(images(2, 7, 12)),
    )


@pytest.mark.parametrize("small", [0, 3])
def test_dino_loss_is_lightlys(small, record_property) -> None:
    from lightly.loss import DINOLoss

    center = images(9, seed=3)
    theirs = DINOLoss(9)
    theirs.center.copy_(center.reshape(1, 1, -1))
    teacher = list(images(2, 4, 9, seed=2))
    same(
        record_property,
        lambda *s: losses.dino_loss(s, teacher, 0.1, 0.04, center),
        lambda *s: theirs(teacher, list(s), teacher_temp=0.04),
        list(images(2 + small, 4, 9)),
    )


def test_ibot_loss_is_lightlys(record_property) -> None:
    from lightly.loss import IBOTPatchLoss

    mask = torch.rand(3, 16, generator=torch.Generator().manual_seed(1)) < 0.4
    mask[1] = False
    teacher = images(3, 16, 9, seed=2)
    same(
        record_property,
        lambda s: losses.ibot_loss(s, teacher, mask, 0.1, 0.05),
        lambda s: IBOTPatchLoss(9, teacher_temp=0.05)(teacher[mask], s[mask], mask.reshape(3, 4, 4)),
        [images(3, 16, 9)],
    )


def test_koleo_loss_is_lightlys(record_property) -> None:
    from lightly.loss import KoLeoLoss

    same(record_property, losses.koleo_loss, KoLeoLoss(), [images(9, 6)])


@pytest.mark.parametrize("iterations", [1, 3])
def test_sinkhorn_knopp_is_swavs_in_lightly(iterations) -> None:
    from lightly.loss.swav_loss import sinkhorn

    logits = images(12, 5)
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

    inputs = [*images(2, 7, 12), torch.tensor(20.0)]
    same(record_property, lambda i, t, s: losses.clip_loss(i, t, s, chunk), theirs, inputs)


LOSSES = {
    "nt_xent": lambda a, b, s, rows=None: losses.nt_xent(a, b, 1 / 10.0, 2, rows) + 0 * s,
    "clip": lambda a, b, s, rows=None: losses.clip_loss(a, b, s, 2, rows),
    "siglip": lambda a, b, s, rows=None: losses.sigmoid_loss(a, b, s, -3.0, 2, rows),
}


@pytest.mark.parametrize("name", LOSSES)
def test_parts_of_all_rows_add_up_to_the_loss(name, record_property) -> None:
    loss = LOSSES[name]
    inputs = [*images(2, 9, 5), torch.tensor(10.0)]
    shares = lambda *x: loss(*x, (0, 2)) + loss(*x, (2, 3)) + loss(*x, (3, 9))  # noqa: E731
    same(record_property, loss, shares, inputs, 1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_blocks_hold_no_table_of_all_rows(name) -> None:
    """The largest tensor that is kept for the backward pass is far smaller than rows by rows."""
    rows, sizes = 64, []
    a, b = (x.requires_grad_() for x in images(2, rows, 5))
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
    inputs = list(images(2, 7, 12))
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
    a, b = images(2, 5, 6)
    every = torch.ones(5 * views, 5 * views, dtype=torch.bool)
    torch.testing.assert_close(loss(a, b, negatives=every), loss(a, b), rtol=0, atol=1e-14)
    # The first two images are near each other: of the first one's part the second gets no gradient.
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


MANY = 2048
OF_HALVES: dict[str, Pair] = {
    "nt_xent": lambda a, b: losses.nt_xent(a, b, 0.1),
    "clip": lambda a, b: losses.clip_loss(a, b, 1 / 0.03),
    "sigmoid": lambda a, b: losses.sigmoid_loss(a, b, 10.0, -10.0),
    "sigmoid in blocks": lambda a, b: losses.sigmoid_loss(a, b, 10.0, -10.0, chunk=500),
    "byol": losses.byol_loss,
    "dino": lambda a, b: losses.dino_loss([a, a], [b], 0.1, 0.04),
    "ibot": lambda a, b: losses.ibot_loss(a[None], b[None], torch.ones(1, MANY), 0.1, 0.04),
    "koleo": lambda a, b: losses.koleo_loss(a),
    "mae": lambda a, b: losses.mae_loss(a[:, None], b.reshape(MANY, 4, 2, 2), torch.ones(MANY, 1), 2),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_HALVES)
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_loses_only_what_the_inputs_lost(name: str, half: torch.dtype) -> None:
    """In float16 a sum over 2,048 rows would be infinite, and a bfloat16 has three digits."""
    torch.manual_seed(0)
    a, b = (torch.randn(MANY, 16).to(half) for _ in range(2))
    exactly = OF_HALVES[name](a.double(), b.double())
    seen = a.clone().requires_grad_()
    found = OF_HALVES[name](seen, b)
    found.backward()
    assert found.dtype == torch.float32 and seen.grad is not None and seen.grad.dtype == half
    assert float(found.detach()) == pytest.approx(float(exactly), rel=1e-4)
    assert bool(seen.grad.isfinite().all())
    with torch.autocast("cpu", half):
        assert float(OF_HALVES[name](a.float(), b.float())) == pytest.approx(float(exactly), rel=1e-4)


def test_a_mask_of_numbers_is_a_mask() -> None:
    """Zeros and ones as integers would pick patches by their number."""
    student, teacher, mask = torch.randn(3, 5, 7), torch.randn(3, 5, 7), torch.rand(3, 5) < 0.4
    expected = losses.ibot_loss(student, teacher, mask, 0.1, 0.04)
    for kind in (torch.int64, torch.float32, torch.uint8):
        assert losses.ibot_loss(student, teacher, mask.to(kind), 0.1, 0.04) == expected


def test_ibot_loss_of_float64_is_float64_throughout() -> None:
    """A share of a third in float32 would be wrong in the ninth digit."""
    student, mask = torch.randn(2, 3, 5), torch.ones(2, 3, dtype=torch.bool)
    uniform = torch.zeros(2, 3, 5)
    torch.set_default_dtype(torch.float32)
    expected = -F.log_softmax(student / 0.1, dim=-1).mean()
    assert float(losses.ibot_loss(student, uniform, mask, 0.1, 0.04)) == pytest.approx(
        float(expected), rel=1e-12
    )


def test_shapes_that_would_spread_silently_are_refused() -> None:
    a, b = torch.randn(4, 5), torch.randn(3, 5)
    for loss in (lambda: losses.nt_xent(a, b, 0.1), lambda: losses.sigmoid_loss(a, b, 10.0, -10.0),
                 lambda: losses.clip_loss(a, b, 10.0), lambda: losses.byol_loss(a, b[:1]),
                 lambda: losses.nt_xent(a[:0], b[:0], 0.1)):  # fmt: skip
        with pytest.raises(ValueError, match="row belongs to row"):
            loss()
    with pytest.raises(ValueError, match="2 views of the teacher, but 1 of the student"):
        losses.dino_loss([a], [a, a], 0.1, 0.04)
    with pytest.raises(ValueError, match="no vectors"):
        losses.koleo_loss(a[:0])
    patches, mask = torch.randn(2, 3, 7), torch.ones(2, 3)
    with pytest.raises(ValueError, match="a mask"):
        losses.ibot_loss(patches, patches, mask[0], 0.1, 0.04)
    with pytest.raises(ValueError, match="has patches"):
        losses.mae_loss(torch.randn(2, 4, 12), torch.randn(2, 3, 4, 4), torch.ones(4), 2)


def test_patches_need_not_be_square() -> None:
    """Two patches beside each other are one twice as wide, its rows one after the other."""
    image = torch.randn(1, 1, 4, 8)
    wide = torch.zeros(1, 4, 8)
    loss = losses.mae_loss(wide, image, torch.tensor([[1, 0, 0, 1]]), (2, 4), norm_pix=False)
    assert float(loss) == pytest.approx(
        float((image[0, 0, :2, :4] ** 2 + image[0, 0, 2:, 4:] ** 2).mean() / 2)
    )
