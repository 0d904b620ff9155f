"""The symmetric contrastive loss of CLIP (Radford et al., 2021)."""

from __future__ import annotations

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
from perception_contrast_training.losses.full_precision import exact
from perception_contrast_training.losses.unit_vectors import as_tensor, require_same, unit


@exact
def clip_loss(
    image: Tensor,
    text: Tensor,
    scale: Tensor | float,
    chunk: int = 0,
    rows: Rows | None = None,
    *,
    negatives: Negatives | None = None,
) -> Tensor:
    """Symmetric InfoNCE: each image's text among all texts, and each text's image among all images.

    Args:
        image: (n, c) vectors of images; normalised here.
        text: (n, c) vectors of texts, row i of the image of row i.
        scale: Inverse temperature.
        chunk: Rows that are compared with all others at once, 0 for all; with it memory grows with n * chunk,
            in the backward pass too.
        rows: Rows whose part of the loss is given, first and before which, None for all; the parts of all
            rows add up to the loss.
        negatives: Which pairs of rows may be told apart, None for all; an image and its own text always
            count.

    Returns:
        () loss, mean over rows and both directions.

    Raises:
        ValueError: The shapes differ, or there are no rows.

    Example:
        >>> round(clip_loss(torch.eye(2), torch.eye(2), scale=10.0).item(), 6)
        4.5e-05

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (CLIP),
    2021.
    """
    require_same("images and texts", image, text)
    image, text, factor = unit(image), unit(text), as_tensor(scale, image)
    start, stop = rows or (0, len(image))
    target = torch.arange(len(image), device=image.device)
    if chunk and stop - start > chunk:

        def judge(first: int, table: Tensor) -> Tensor:
            if negatives is not None:
                table.masked_fill_(left_out(negatives, first, len(table)), float("-inf"))
            return cross_entropy_in_place(table, target[first : first + len(table)])

        ways = ((image, text), (text, image))
        both = [sum_of_blocks(judge, (start, stop), chunk, some, every, factor) for some, every in ways]
        return torch.stack(both).sum() / (2 * len(image))
    logits = factor * image[start:stop] @ text.T
    # The whole table serves both directions.
    other = logits.T if stop - start == len(image) else factor * text[start:stop] @ image.T
    if negatives is not None:
        out = left_out(negatives, start, stop - start)
        logits, other = (table.masked_fill(out, float("-inf")) for table in (logits, other))
    found = [F.cross_entropy(table, target[start:stop], reduction="sum") for table in (logits, other)]
    return torch.stack(found).sum() / (2 * len(image))
