"""Losses between views of one picture: SimCLR, BYOL, DINO, iBOT, and KoLeo, which spreads them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy (Chen et al., SimCLR, ICML 2020), mean over all 2n views.

    a, b: (n, c), row i of each is a view of picture i; normalised here.
    """
    views = F.normalize(torch.cat([a, b]), dim=-1)
    logits = views @ views.T / temperature
    oneself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    logits = logits.masked_fill(oneself, float("-inf"))
    return F.cross_entropy(logits, torch.arange(len(views), device=views.device).roll(len(a)))


def byol_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """2 - 2 cos, mean over rows (n, c) (Grill et al., BYOL, NeurIPS 2020). The target gets no gradient."""
    cosine = F.cosine_similarity(prediction, target.detach(), dim=-1)
    return (2.0 - 2.0 * cosine).mean()


def dino_loss(
    student_views: Sequence[Tensor],
    teacher_views: Sequence[Tensor],
    student_temperature: float,
    teacher_temperature: float,
    center: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of the student with the centred, sharpened teacher (Caron et al., DINO, ICCV 2021).

    Views are (n, k) logits; the teacher's are the first of the student's, and no view is compared with
    itself. Mean over pictures and pairs of views. center: (k,) or (1, k), None for none. The teacher gets no
    gradient. Raises ValueError where no pair is left.
    """
    targets = [_sharpened(view, teacher_temperature, center) for view in teacher_views]
    guesses = [F.log_softmax(view / student_temperature, dim=-1) for view in student_views]
    terms = [
        -(target * guess).sum(dim=-1).mean()
        for t, target in enumerate(targets)
        for s, guess in enumerate(guesses)
        if s != t
    ]
    if not terms:
        raise ValueError("a student of one view has no other view than the teacher's; give two at least")
    return torch.stack(terms).mean()


def ibot_loss(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor,
    student_temperature: float,
    teacher_temperature: float,
    center: Tensor | None = None,
) -> Tensor:
    """Cross-entropy on masked patches (Zhou et al., iBOT, ICLR 2022).

    student, teacher: (b, n, k) logits of patches; mask: (b, n) bool, true where the student saw none. Mean
    over a picture's masked patches, then over the pictures; one without any counts as zero.
    """
    target = _sharpened(teacher, teacher_temperature, center)
    entropy = -(target * F.log_softmax(student / student_temperature, dim=-1)).sum(dim=-1)
    weight = mask.to(entropy.dtype)
    return ((entropy * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1.0)).mean()


def _sharpened(logits: Tensor, temperature: float, center: Tensor | None) -> Tensor:
    centred = logits.detach() if center is None else logits.detach() - center.detach()
    return F.softmax(centred / temperature, dim=-1)


def sinkhorn_knopp(logits: Tensor, temperature: float, iterations: int = 3) -> Tensor:
    """Assignments of samples to prototypes that use all prototypes alike (Caron et al., SwAV, NeurIPS 2020).

    logits: (n, k). Rows of the result (n, k) sum to 1, columns to n / k once it has converged.
    """
    with torch.no_grad():
        scaled = logits.to(_at_least_float32(logits)) / temperature
        # A constant factor falls out of the first normalisation; without it exp overflows.
        shares = torch.exp(scaled - scaled.max())
        samples, prototypes = shares.shape
        shares = shares / shares.sum()
        for _ in range(iterations):
            shares = shares / (shares.sum(dim=0, keepdim=True) * prototypes)
            shares = shares / (shares.sum(dim=1, keepdim=True) * samples)
        return shares * samples


def koleo_loss(x: Tensor, epsilon: float = 1e-8) -> Tensor:
    """-log of each vector's distance to its nearest other one, mean (Sablayrolles et al., ICLR 2019).

    x: (n, c), normalised here. In float32 at least, where two equal rows stay finite; half precision is
    raised, gradients come back in it.
    """
    unit = F.normalize(x.to(_at_least_float32(x)), dim=-1, eps=epsilon)
    with torch.no_grad():
        likeness = unit @ unit.T
        likeness.fill_diagonal_(-1.0)
        nearest = likeness.argmax(dim=1)
    distance = F.pairwise_distance(unit, unit[nearest], p=2.0, eps=epsilon)
    return -torch.log(distance + epsilon).mean()


def _at_least_float32(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
