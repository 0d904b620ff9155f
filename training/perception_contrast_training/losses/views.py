"""Losses between views of one image: SimCLR, BYOL, DINO, iBOT, and KoLeo, which spreads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from perception_contrast_training.losses.blockwise import (
    Negatives,
    Rows,
    cross_entropy_in_place,
    left_out,
    sum_of_blocks,
)
from perception_contrast_training.losses.exact import exact
from perception_contrast_training.losses.unit import as_tensor, require_same, unit


@exact
def nt_xent(
    a: Tensor,
    b: Tensor,
    temperature: float,
    chunk: int = 0,
    rows: Rows | None = None,
    *,
    negatives: Negatives | None = None,
) -> Tensor:
    """Normalised temperature-scaled cross-entropy (Chen et al., SimCLR, ICML 2020), mean over all 2n views.

    a, b: (n, c), row i of each is a view of image i; normalised here. chunk: views that are compared with
    all others at once, 0 for all. rows: gives the part of the loss that these images have. negatives:
    which of the 2n views, first all of a, then all of b, are told apart, None for all; the two of an image
    always match.
    """
    require_same("views", a, b)
    images = len(a)
    views = torch.cat([unit(a), unit(b)])
    target = torch.arange(images, images + len(views), device=views.device) % len(views)

    def hide(start: int, table: Tensor) -> None:
        if negatives is None:
            table.diagonal(start).fill_(float("-inf"))  # oneself
        else:
            out = left_out(negatives, start, len(table), match=images, oneself=True)
            table.masked_fill_(out, float("-inf"))

    def judge(start: int, table: Tensor) -> Tensor:
        hide(start, table)
        return cross_entropy_in_place(table, target[start : start + len(table)])

    def share(start: int, stop: int) -> Tensor:
        if chunk and stop - start > chunk:
            inverse = as_tensor(1.0 / temperature, views)
            return sum_of_blocks(judge, (start, stop), chunk, views, views, inverse)
        logits = views[start:stop] @ views.T / temperature
        hide(start, logits)
        return F.cross_entropy(logits, target[start:stop], reduction="sum")

    shares = [(0, len(views))] if rows is None else [rows, (rows[0] + images, rows[1] + images)]
    return torch.stack([share(*one) for one in shares]).sum() / len(views)


@exact
def byol_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """2 - 2 cos, mean over rows (n, c) (Grill et al., BYOL, NeurIPS 2020). The target gets no gradient."""
    require_same("prediction and target", prediction, target)
    cosine = (unit(prediction) * unit(target.detach())).sum(dim=-1)
    return (2.0 - 2.0 * cosine).mean()


@exact
def dino_loss(
    student_views: Sequence[Tensor],
    teacher_views: Sequence[Tensor],
    student_temperature: float,
    teacher_temperature: float,
    center: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of the student with the centred, sharpened teacher (Caron et al., DINO, ICCV 2021).

    Views are (n, k) logits; the teacher's are the first of the student's, and no view is compared with
    itself. Mean over images and pairs of views. center: (k,) or (1, k), None for none. The teacher gets no
    gradient. Raises ValueError where no pair is left, or the teacher has more views.
    """
    targets = [sharpened(view, teacher_temperature, center) for view in teacher_views]
    return view_entropy(targets, student_views, student_temperature)


@exact
def view_entropy(targets: Sequence[Tensor], student_views: Sequence[Tensor], temperature: float) -> Tensor:
    """As ``dino_loss``, for targets (n, k) that are probabilities already, by whatever way."""
    if len(targets) > len(student_views):
        raise ValueError(
            f"{len(targets)} views of the teacher, but {len(student_views)} of the student, of which they "
            "are the first"
        )
    guesses = [F.log_softmax(view / temperature, dim=-1) for view in student_views]
    terms = [
        -(target.detach() * guess).sum(dim=-1).mean()
        for t, target in enumerate(targets)
        for s, guess in enumerate(guesses)
        if s != t
    ]
    if not terms:
        raise ValueError("a student of one view has no other view than the teacher's; give two at least")
    return torch.stack(terms).mean()


@exact
def ibot_loss(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor,
    student_temperature: float,
    teacher_temperature: float,
    center: Tensor | None = None,
) -> Tensor:
    """Cross-entropy on masked patches (Zhou et al., iBOT, ICLR 2022).

    student, teacher: (b, n, k) logits of patches; mask: (b, n), true where the student saw none. Mean over a
    image's masked patches, then over the images; one without any counts as zero. Raises ValueError
    for shapes that do not fit.
    """
    if mask.shape != student.shape[:2] or student.shape != teacher.shape:
        raise ValueError(
            f"a mask {tuple(mask.shape)} of patches {tuple(student.shape)} and {tuple(teacher.shape)}; give "
            "(b, n), (b, n, k), (b, n, k)"
        )
    mask = mask.bool()
    center = None if center is None else center.reshape(-1)
    target = sharpened(teacher[mask], teacher_temperature, center)
    return patch_entropy(target, student[mask], mask, student_temperature)


@exact
def patch_entropy(target: Tensor, student: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """As ``ibot_loss``, of masked patches alone and for targets that are probabilities already.

    target, student: (m, k), of the m patches where mask (b, n) is true, row by row.
    """
    entropy = -(target.detach() * F.log_softmax(student / temperature, dim=-1)).sum(dim=-1)
    many = mask.sum(dim=1, keepdim=True).clamp_min(1).to(entropy.dtype)
    weight = (1.0 / many).expand(mask.shape)[mask]
    return (entropy * weight).sum() / len(mask)


def sharpened(logits: Tensor, temperature: float, center: Tensor | None = None) -> Tensor:
    """Probabilities of logits (..., k) less a centre (k,) or (1, k), without gradient."""
    centred = logits.detach() if center is None else logits.detach() - center.detach()
    return F.softmax(centred / temperature, dim=-1)


def _itself(x: Tensor) -> Tensor:
    return x


@exact
def sinkhorn_knopp(
    logits: Tensor,
    temperature: float,
    iterations: int = 3,
    summed: Callable[[Tensor], Tensor] = _itself,
    largest: Callable[[Tensor], Tensor] = _itself,
) -> Tensor:
    """Assignments of samples to prototypes that use all prototypes alike (Caron et al., SwAV, NeurIPS 2020).

    logits: (n, k). Rows of the result (n, k) sum to 1, columns to n / k once it has converged. summed,
    largest: the sum and the maximum over processes, where each holds some of the samples.
    """
    with torch.no_grad():
        scaled = logits / temperature
        samples, prototypes = summed(scaled.new_tensor(float(len(scaled)))), scaled.shape[1]
        # A constant factor falls out of the first normalisation; without it exp overflows.
        most = largest(scaled.amax() if scaled.numel() else scaled.new_tensor(float("-inf")))
        shares = torch.exp(scaled - most)
        shares = shares / summed(shares.sum())
        for _ in range(iterations):
            # Where exp underflows for all samples there is nothing to share out, and nothing to divide by.
            columns = summed(shares.sum(dim=0, keepdim=True)) * prototypes
            shares = shares / columns.clamp_min(torch.finfo(shares.dtype).tiny)
            rows = shares.sum(dim=1, keepdim=True) * samples
            shares = shares / rows.clamp_min(torch.finfo(shares.dtype).tiny)
        return shares * samples


@exact
def koleo_loss(x: Tensor, epsilon: float = 1e-8) -> Tensor:
    """-log of each vector's distance to its nearest other one, mean (Sablayrolles et al., ICLR 2019).

    x: (n, c), normalised here. Two equal rows stay finite. Raises ValueError for no rows.
    """
    if not len(x):
        raise ValueError("no vectors, whose nearest ones are asked for")
    unit = F.normalize(x, dim=-1, eps=epsilon)
    with torch.no_grad():
        likeness = unit @ unit.T
        likeness.fill_diagonal_(-1.0)
        nearest = likeness.argmax(dim=1)
    distance = F.pairwise_distance(unit, unit[nearest], p=2.0, eps=epsilon)
    return -torch.log(distance + epsilon).mean()
