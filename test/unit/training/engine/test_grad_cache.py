"""Gradients of a batch that is seen in parts are those of the whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from small_methods import (
    FIRST,
    SIZE,
    gradients,
    images,
    largest_difference,
    small_vit,
    some_positions,
)
from torch import Tensor, nn

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.engine.grad_cache import cached_backward
from perception_contrast_training.engine.negative_mask import FRAME_POSITIONS
from perception_contrast_training.methods.clip import Clip, ClipSettings
from perception_contrast_training.methods.lit import LitSettings, make_lit
from perception_contrast_training.methods.pairs import Pair
from perception_contrast_training.methods.siglip import Siglip, SiglipSettings
from perception_contrast_training.methods.simclr import Simclr, SimclrSettings
from perception_contrast_training.networks.text import TextSettings, make_text

TEXT = TextSettings(width=16, depth=1, heads=2, context=8)
CAPTIONS = [f"thing number {number}" for number in range(12)]


def method_of(name: str, **options: Any) -> Any:
    backbone = small_vit(**options)
    if name == "simclr":
        return Simclr(backbone, SimclrSettings(batch_norm=False, dim=8, table=60)).double()
    if name == "lit":
        return make_lit(backbone, LitSettings(text=TEXT, table=60)).double()
    pair = Pair(backbone, make_text(TEXT, 8), 8)
    if name == "clip":
        return Clip(pair, ClipSettings(dim=8, table=60)).double()
    return Siglip(pair, SiglipSettings(dim=8, table=60)).double()


def batch_of(name: str, rows: slice = slice(None)) -> dict[str, Any]:
    if name == "simclr":
        return {"views": images(2, 12, 3, SIZE, SIZE)[:, rows]}
    return {"image": images(12, 3, SIZE, SIZE)[rows], "text": CAPTIONS[rows]}


def near_batch_of(name: str, rows: slice = slice(None)) -> dict[str, Any]:
    """With frames of which a good part may be no negatives of each other."""
    return {**batch_of(name, rows), FRAME_POSITIONS: some_positions(12)[:, rows]}


def parts_of(name: str, size: int, batch: Any = batch_of) -> list[dict[str, Any]]:
    return [batch(name, slice(start, start + size)) for start in range(0, 12, size)]


@pytest.mark.parametrize("batch", [batch_of, near_batch_of])
@pytest.mark.parametrize("name", ["simclr", "clip", "siglip", "lit"])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_cached_gradients_are_those_of_the_whole_batch(name: str, size: int, batch: Any) -> None:
    """Those of temperature and bias among them; parts of unequal size too."""
    method = method_of(name).train()
    whole = method.loss(batch(name), FIRST)
    if batch is near_batch_of:
        plain = method.loss(batch_of(name), FIRST)
        assert abs(float(whole.total.detach() - plain.total.detach())) > 1e-4
    whole.total.backward()
    expected = {k: None if v is None else v.clone() for k, v in gradients(method).items()}
    method.zero_grad()
    losses = cached_backward(method, parts_of(name, size, batch))
    assert float(losses.total) == pytest.approx(float(whole.total.detach()), abs=1e-9)
    assert largest_difference(gradients(method), expected) < 1e-9
    learned = [n for n in ("log_scale", "bias") if hasattr(method, n)]
    assert all(float(getattr(method, n).grad.abs()) > 0 for n in learned)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_dropped_paths_are_the_same_ones_in_both_passes(checkpointing: bool) -> None:
    """With chance in the networks: the same as one pass that keeps everything of every part."""
    name = "simclr"
    method = method_of(name, drop_path=0.5, checkpointing=checkpointing).train()
    method.head = nn.Sequential(nn.Dropout(0.3), *method.head)
    parts = parts_of(name, 3)
    torch.manual_seed(5)
    embedded = [method.embed(part) for part in parts]
    after = torch.rand(())
    together = {k: torch.cat([one[k] for one in embedded]) for k in embedded[0]}
    method.compare(together).total.backward()
    expected = {k: None if v is None else v.clone() for k, v in gradients(method).items()}
    method.zero_grad()
    torch.manual_seed(5)
    cached_backward(method, parts)
    assert torch.equal(torch.rand(()), after)
    assert largest_difference(gradients(method), expected) < 1e-9


def test_a_scaled_loss_has_scaled_gradients() -> None:
    method = method_of("clip").train()
    cached_backward(method, parts_of("clip", 4))
    expected = {k: None if v is None else 1024 * v for k, v in gradients(method).items()}
    method.zero_grad()
    cached_backward(method, parts_of("clip", 4), scaled=lambda loss: 1024 * loss)
    assert largest_difference(gradients(method), expected) < 1e-9


def test_autocast_reaches_the_networks_and_spares_the_loss() -> None:
    method = method_of("simclr").float().train()
    kinds = []
    method.backbone.network.blocks[0].attn.qkv.register_forward_hook(lambda *x: kinds.append(x[2].dtype))
    parts = [{"views": part["views"].float()} for part in parts_of("simclr", 4)]
    losses = cached_backward(method, parts, autocast=lambda: torch.autocast("cpu", torch.bfloat16))
    assert set(kinds) == {torch.bfloat16} and losses.total.dtype == torch.float32
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in method.parameters())


class OneAtATime(Sequence[dict[str, Tensor]]):
    """Makes a part when it is asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return 4

    def __getitem__(self, number: Any) -> Any:
        self.asked.append(number)
        return parts_of("simclr", 3)[number]


def test_parts_are_asked_for_one_after_the_other() -> None:
    parts = OneAtATime()
    cached_backward(method_of("simclr").train(), parts)
    assert parts.asked == [0, 1, 2, 3, 0, 1, 2, 3]


def test_batch_norm_is_refused() -> None:
    method = Simclr(small_vit(), SimclrSettings()).double().train()
    with pytest.raises(RecipeError, match=r"'head\.1' normalises over the batch"):
        cached_backward(method, parts_of("simclr", 4))
