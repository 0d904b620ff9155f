"""Batches of texts of about one length, so that little of a text tower's work goes into padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# Ids that a text tower reads at once: enough to keep a processor busy, few enough for its caches.
TOKENS_PER_BATCH = 2048


def encode_by_length(
    lengths: Sequence[int],
    encode: Callable[[list[int], int], Tensor],
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> Tensor:
    """Encodes texts in batches of about one length.

    Args:
        lengths: Ids of each text that its vector depends on; at least one text.
        encode: Gets the places of a batch's texts and the longest of their lengths; gives (n, c) vectors.
        tokens_per_batch: Ids of a batch at most, its padding included; a longer text goes alone.

    Returns:
        (len(lengths), c) vectors in the order of ``lengths``.
    """
    # The longest first: it says how many fit, and a batch that is too large for the memory fails at once.
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    parts, start = [], 0
    while start < len(order):
        longest = max(lengths[order[start]], 1)
        batch = order[start : start + max(tokens_per_batch // longest, 1)]
        parts.append(encode(batch, longest))
        start += len(batch)
    encoded = torch.cat(parts)
    inverse = torch.empty(len(order), dtype=torch.long)
    inverse[torch.tensor(order)] = torch.arange(len(order))
    return encoded[inverse.to(encoded.device)]
