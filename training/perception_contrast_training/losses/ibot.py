"""The masked-patch loss of iBOT (Zhou et al., ICLR 2022)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from perception_contrast_training.losses.dino import sharpened
from perception_contrast_training.losses.full_precision import exact


@exact
def ibot_loss(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor,
    student_temperature: float,
    teacher_temperature: float,
    center: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of the student with the teacher on masked patches.

    Args:
        student: (b, n, k) logits of patches.
        teacher: (b, n, k) logits of the same patches, which the teacher saw; they get no gradient.
        mask: (b, n), true where the student saw none.
        student_temperature: Of the student's softmax.
        teacher_temperature: Of the teacher's softmax.
        center: (k,) or (1, k) that is taken off the teacher's logits, None for none.

    Returns:
        () loss, mean over an image's masked patches, then over images; one without any counts as zero.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> logits, mask = torch.eye(2)[None], torch.ones(1, 2, dtype=torch.bool)
        >>> round(ibot_loss(logits, logits, mask, 0.1, 0.04).item(), 4)
        0.0

    Source: Zhou et al., "iBOT: Image BERT Pre-Training with Online Tokenizer", ICLR 2022.
    """
    if mask.shape != student.shape[:2] or student.shape != teacher.shape:
        raise ValueError(
            f"a mask {tuple(mask.shape)} of patches {tuple(student.shape)} and {tuple(teacher.shape)}; give "
            "(b, n), (b, n, k), (b, n, k)"
        )
    mask = mask.bool()
    center = None if center is None else center.reshape(-1)
    target = sharpened(teacher[mask], teacher_temperature, center)
    return patch_cross_entropy(target, student[mask], mask, student_temperature)


@exact
def patch_cross_entropy(target: Tensor, student: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Is ``ibot_loss`` for targets that are probabilities already, of the masked patches alone.

    Args:
        target: (m, k) probabilities of the m masked patches, row by row; they get no gradient.
        student: (m, k) logits of the same patches.
        mask: (b, n) bool, true for the m patches.
        temperature: Temperature of the student's softmax.

    Returns:
        () loss, mean over an image's masked patches, then over images; an image without any counts as zero.

    Source: Zhou et al., "iBOT: Image BERT Pre-Training with Online Tokenizer", ICLR 2022.
    """
    entropy = -(target.detach() * F.log_softmax(student / temperature, dim=-1)).sum(dim=-1)
    many = mask.sum(dim=1, keepdim=True).clamp_min(1).to(entropy.dtype)
    weight = (1.0 / many).expand(mask.shape)[mask]
    return (entropy * weight).sum() / len(mask)
