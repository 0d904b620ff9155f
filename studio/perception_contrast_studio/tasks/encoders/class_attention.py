"""Where the class token of a vision transformer looks: the attention of one block, by head."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.core.errors import PerceptionError
from perception_contrast.encoders.base import ImageEncoder
from perception_contrast.encoders.clip import ClipTower
from perception_contrast.encoders.dense.last_block import LastBlock, OpenClipBlock, TimmBlock
from perception_contrast.encoders.dinov2 import DinoTower
from perception_contrast.images.resize import fitted_size
from perception_contrast.preprocessing.to_tensor import image_tensor


class NoAttentionError(PerceptionError):
    """An encoder has no class token that attends to the cells; the message says what it has."""


@dataclass(frozen=True)
class ClassAttention:
    """Attention of the class token in one block.

    Attributes:
        heads: (heads, rows, columns) float32: the share of each cell.
        block: Which block, from 0.
        blocks: How many the network has.
        on_cells: The mean share that goes to cells, not to the class token itself or to registers.
    """

    heads: NDArray[np.float32]
    block: int
    blocks: int
    on_cells: float


def class_attention(
    encoder: ImageEncoder, image: NDArray[np.uint8], short_side: int, most: int, block: int = -1
) -> ClassAttention:
    """Attention of the class token to the cells of an image.

    Args:
        encoder: A vision transformer with a class token, or a head on one.
        image: (H, W, 3) uint8 RGB.
        short_side: Of the network's input, pixels.
        most: Cells that the input may have.
        block: From 0; negative ones count from the last.

    Raises:
        NoAttentionError: The encoder has no such token.
    """
    blocks, before, is_open_clip = _blocks(encoder)
    chosen = block % len(blocks)
    size = fitted_size((image.shape[0], image.shape[1]), short_side, encoder.patch, most)
    device = next(encoder.parameters()).device
    images = image_tensor(image, size, encoder.mean, encoder.std).to(device)
    with torch.inference_mode(), _inputs_of(blocks[chosen]) as seen:
        encoder.backbone.encode(images)
        x, rope = seen[0]
        view: LastBlock = OpenClipBlock(blocks[chosen]) if is_open_clip else TimmBlock(blocks[chosen], rope)
        query, key, _ = view.heads(x)
        scores = (query[:, :, :1] @ key.transpose(-2, -1)) * query.shape[-1] ** -0.5
        shares = scores.float().softmax(dim=-1)[0, :, 0, before:]
    rows, columns = size[0] // encoder.patch, size[1] // encoder.patch
    heads = np.ascontiguousarray(shares.cpu().numpy(), np.float32).reshape(-1, rows, columns)
    return ClassAttention(heads, chosen, len(blocks), float(shares.sum(dim=-1).mean()))


def _blocks(encoder: ImageEncoder) -> tuple[Any, int, bool]:
    """The network's blocks, the tokens before the cells, and whether the blocks are open_clip's own."""
    tower: Any = encoder if isinstance(encoder, ClipTower) else encoder.backbone
    if isinstance(tower, ClipTower):
        visual = tower.visual.visual  # type: ignore[attr-defined]
        if hasattr(visual, "transformer"):
            return visual.transformer.resblocks, 1, True
        network = visual.trunk
    elif isinstance(tower, DinoTower):
        network = tower.vit
    else:
        raise NoAttentionError(f"'{encoder.model}' does not show its attention")
    if not hasattr(network, "blocks"):
        raise NoAttentionError(f"'{encoder.model}' is a convolutional network: it has no attention")
    if getattr(network, "cls_token", None) is None:
        raise NoAttentionError(
            f"'{encoder.model}' has no class token: it pools its cells by a layer of their own instead"
        )
    if not hasattr(network.blocks[0].attn, "qkv") or network.blocks[0].attn.qkv is None:
        raise NoAttentionError(f"'{encoder.model}' keeps its queries and keys apart; they are not shown here")
    return network.blocks, int(network.num_prefix_tokens), False


@contextmanager
def _inputs_of(block: Any) -> Iterator[list[tuple[Tensor, Tensor | None]]]:
    """Tokens (B, n, c) and rotation that enter a block within, in the order of its calls."""
    seen: list[tuple[Tensor, Tensor | None]] = []

    def note(module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.append((positional[0], named.get("rope")))

    handle = block.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()
