"""The self-distillation loss of DINO (Caron et al., ICCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from perception_contrast_training.losses.full_precision import exact


@exact
def dino_loss(
    student_views: Sequence[Tensor],
    teacher_views: Sequence[Tensor],
    student_temperature: float,
    teacher_temperature: float,
    center: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of the student with the centred, sharpened teacher, over pairs of different views.

    Args:
        student_views: Logits (n, k) of each view; those that the teacher saw come first.
        teacher_views: Logits (n, k) of the teacher's views; they get no gradient.
        student_temperature: Of the student's softmax, 0.1 in the paper.
        teacher_temperature: Of the teacher's softmax, 0.04 to 0.07 in the paper.
        center: (k,) or (1, k) that is taken off the teacher's logits, None for none.

    Returns:
        () loss, mean over images and pairs of views; no view is compared with itself.

    Raises:
        ValueError: No pair is left, or the teacher has more views.

    Example:
        >>> views = [torch.eye(2), torch.eye(2)]
        >>> round(dino_loss(views, views, 0.1, 0.04).item(), 4)
        0.0

    Source: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers" (DINO), ICCV 2021.
    """
    targets = [sharpened(view, teacher_temperature, center) for view in teacher_views]
    return view_cross_entropy(targets, student_views, student_temperature)


@exact
def view_cross_entropy(
    targets: Sequence[Tensor], student_views: Sequence[Tensor], temperature: float
) -> Tensor:
    """Is ``dino_loss`` for targets that are probabilities already.

    Args:
        targets: Probabilities (n, k) of each of the teacher's views; they get no gradient.
        student_views: Logits (n, k) of each view; those that the teacher saw come first.
        temperature: Temperature of the student's softmax.

    Returns:
        () loss, mean over images and pairs of different views.

    Raises:
        ValueError: No pair is left, or the teacher has more views.

    Source: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers" (DINO), ICCV 2021.
    """
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


def sharpened(logits: Tensor, temperature: float, center: Tensor | None = None) -> Tensor:
    """Computes a teacher's probabilities by centring and sharpening, without gradient.

    Args:
        logits: (..., k) logits of the teacher.
        temperature: Temperature of the softmax.
        center: (k,) or (1, k), subtracted from the logits; None for none.

    Returns:
        (..., k) probabilities.

    Source: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers" (DINO), ICCV 2021.
    """
    centred = logits.detach() if center is None else logits.detach() - center.detach()
    return F.softmax(centred / temperature, dim=-1)
