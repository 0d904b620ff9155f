"""Batches of texts of about one length: the vectors are those of each text alone with all its padding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import open_clip
import pytest
import torch
from clip_towers import small_clip, small_dinotxt, small_pe, small_siglip, small_tips
from torch import Tensor
from torch.nn.functional import normalize

from perception_contrast.encoders.clip import ClipTower
from perception_contrast.models.registry import model_spec
from perception_contrast.text.clip_text_encoder import ClipTextEncoder
from perception_contrast.text.length_batches import encode_by_length
from perception_contrast.text.tips_transformer import TipsTextTransformer

LENGTHS = (5, 2, 30, 7, 2, 12, 31)
END_OF_XLM = 2


def test_each_text_is_encoded_once_and_comes_back_in_its_place() -> None:
    lengths, batches = [3, 9, 1, 9, 4, 20, 2], []

    def encode(places: list[int], longest: int) -> Tensor:
        batches.append((places, longest))
        return torch.tensor(places, dtype=torch.float32)[:, None]

    found = encode_by_length(lengths, encode, tokens_per_batch=18)
    assert found[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert sorted(place for places, _ in batches for place in places) == list(range(7))
    assert batches[0] == ([5], 20), "one that is too long for a batch goes alone"
    for places, longest in batches[1:]:
        assert longest == max(lengths[place] for place in places) and len(places) * longest <= 18


def small_network(model: str, **of_texts: Any) -> ClipTower:
    torch.manual_seed(4)
    network = open_clip.CLIP(
        embed_dim=32,
        vision_cfg={"image_size": 64, "layers": 1, "width": 64, "patch_size": 16, "head_width": 16},
        text_cfg={"context_length": 77, "vocab_size": 500, "width": 48, "heads": 4, "layers": 2, **of_texts},
    )
    spec = replace(model_spec(model), dim=32, size=64)
    return ClipTower(network, spec, f"{model}@small").eval().requires_grad_(False)


def small_metaclip2() -> ClipTower:
    return small_network("metaclip2-b16", pool_type="eos", eos_id=END_OF_XLM)


def small_mobileclip() -> ClipTower:
    """Its text tower, which sees both ways."""
    return small_network("clip-vit-b16", no_causal_mask=True)


def some_ids(text: Any, lengths: list[int], end: int | None) -> Tensor:
    """end: id of the end of each text, None for towers without one; 0 behind it."""
    ids = torch.zeros(len(lengths), text.context_length, dtype=torch.long)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = torch.randint(3, 490, (length,))
        if end is not None and length:
            row[length - 1] = end
    return ids


@pytest.mark.parametrize(
    ("make", "cuts"),
    [
        (small_clip, True),
        (small_pe, True),
        (small_metaclip2, True),
        (small_dinotxt, True),
        (small_tips, True),
        (small_siglip, False),
        (small_mobileclip, False),
    ],
)
def test_texts_without_padding_have_the_vectors_that_the_network_gives_with_it(make: Any, cuts: bool) -> None:
    tower = make()
    text = getattr(tower.network, "text", tower.network)
    lengths = [min(length, text.context_length) for length in LENGTHS]
    end = {small_metaclip2: END_OF_XLM, small_tips: None}.get(make, text.vocab_size - 1)
    with torch.no_grad():
        for parameter in text.parameters():  # as of a trained one: an untrained one hardly sees its words
            parameter.add_(0.05 * torch.randn_like(parameter))
        ids = some_ids(text, lengths, end)
        whole = torch.cat([tower.network.encode_text(one[None]) for one in ids])
        expected = normalize(tower.visual.for_patches(whole), dim=-1)
        read, seen = tower.tokens_read(ids).tolist(), []

        def encode(places: list[int], longest: int) -> Tensor:
            seen.append(longest)
            return tower.text_embedding(ids[places, :longest])

        found = encode_by_length(read, encode, tokens_per_batch=64)
    assert (found - expected).abs().max() < 1e-5
    assert read == (lengths if cuts else [text.context_length] * len(lengths))
    assert len(seen) > 1 and (min(seen) < text.context_length) == cuts


def test_of_an_empty_text_tips_reads_one_id() -> None:
    assert TipsTextTransformer(8, 1, 2, 16, vocabulary=9).tokens_read(torch.zeros(1, 64)).tolist() == [1]


def test_an_ensemble_is_the_same_in_any_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    phrases = ["mug", "a red mug on the kitchen table next to a bottle", "office chair"]
    text = ClipTextEncoder(small_clip())
    together = torch.from_numpy(text.encode(phrases))
    tower, counted = small_clip(), []
    true = tower.text_embedding
    monkeypatch.setattr(tower, "text_embedding", lambda ids: counted.append(ids.numel()) or true(ids))
    apart = torch.from_numpy(ClipTextEncoder(tower).encode(phrases[:1]))
    assert (together[:1] - apart).abs().max() < 1e-5
    assert sum(counted) < 42 * 20, "most of the context of 77 ids is left out"
