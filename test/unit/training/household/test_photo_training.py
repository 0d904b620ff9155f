"""Labelled photographs as batches of dense alignment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from alignment_batches import SETTINGS, Sentences, maker

from perception_contrast.cli.main import main as command
from perception_contrast.encoders.alignment_head import AlignmentConfig, AlignmentHead
from perception_contrast_training.household.alignment.alignment_losses import TextVectors, alignment_losses
from perception_contrast_training.household.alignment.dense_batches import DenseBatch
from perception_contrast_training.household.alignment.photo_batches import PhotoBatchMaker
from perception_contrast_training.household.mixed_batches import MixedBatchMaker
from perception_contrast_training.household.photo_shards import PhotoShard, photo_view
from perception_contrast_training.household.words import Words
from perception_contrast_training.losses.dense import category_loss
from perception_contrast_training.losses.neighbours import neighbour_loss
from perception_contrast_training.photographs.base import LabelledPhoto, PhotoRegion, SetFacts
from perception_contrast_training.photographs.naming import Naming, Truth, load_naming

NAMES = ("sofa", "lamp", "chair", "table", "cup")
DENSE = SetFacts("dense", "free", frozenset(NAMES))
THINGS = SetFacts("things", "free", frozenset({"table", "person", "dog"}), dense=False)


@pytest.fixture(scope="module")
def naming() -> Naming:
    return load_naming()


def photo_shard(facts: SetFacts = DENSE, seed: int = 0, images: int = 4, side: int = 4) -> PhotoShard:
    """Noise for tokens; two regions, left and right, above unlabelled pixels."""
    rng = np.random.default_rng(seed)
    config = AlignmentConfig()
    tokens = rng.normal(0, 1, (images, side, side, config.image_dim * len(config.layers)))
    cells = np.zeros((images, 2 * side, 2 * side), np.uint8)
    cells[:, :side, :side], cells[:, :side, side:] = 1, 2
    some = sorted(facts.names)
    regions = [
        tuple(PhotoRegion(some[int(i)], True) for i in rng.permutation(len(some))[:2]) for _ in range(images)
    ]
    return PhotoShard(
        tokens.astype(np.float16),
        rng.normal(0, 1, (images, config.image_dim)).astype(np.float16),
        rng.normal(0, 0.3, (images, 6, 2 * side, 2 * side)).astype(np.float16),
        cells,
        np.full(cells.shape, 255, np.uint8),
        regions,
        facts,
    )


def photo_maker(naming: Naming, *shards: PhotoShard, seed: int = 3) -> PhotoBatchMaker:
    layers = len(AlignmentConfig().layers)
    return PhotoBatchMaker(shards or (photo_shard(),), naming, SETTINGS, layers, np.random.default_rng(seed))


def test_a_batch_keeps_what_is_unknown_apart_from_what_is_false(naming: Naming) -> None:
    source = photo_shard()
    batch = photo_maker(naming, source).draw()
    assert batch.truth.shape == (SETTINGS.images, 3, SETTINGS.phrases)
    assert set(batch.truth.unique().tolist()) == {-1.0, 0.0, 1.0}
    known = {tuple(np.asarray(c, np.float32)): r for c, r in zip(source.cls, source.regions, strict=True)}
    for b in range(SETTINGS.images):
        regions = known[tuple(batch.cls[b].numpy())]
        for k, region in enumerate(regions):
            open_ = batch.category_open[b, k + 1]  # type: ignore[index]
            for number, name in enumerate(sorted({one.name for r in source.regions for one in r})):
                truth = naming.truth(region.name, name)
                assert bool(open_[number]) == (truth != Truth.FALSE and name != region.name)
    # Half of the phrases are true of something in the batch.
    assert (batch.truth[:, :, : SETTINGS.phrases // 2] == 1).flatten(0, 1).any(dim=0).all()


def test_unlabelled_pixels_of_a_set_of_things_deny_its_own_names_alone(naming: Naming) -> None:
    drawer = photo_maker(naming, photo_shard(THINGS, images=12))
    denied: set[str] = set()
    for batch in (drawer.draw() for _ in range(6)):
        denied |= {phrase for q, phrase in enumerate(batch.phrases) if (batch.truth[:, 0, q] == 0).any()}
    words = {"table", "person", "human", "someone", "dog"}
    assert denied and all(any(word in phrase for word in words) for phrase in denied)


def test_losses_of_photographs_move_the_head(naming: Naming) -> None:
    torch.manual_seed(0)
    batch, head, sentences = photo_maker(naming).draw(), AlignmentHead(), Sentences()
    text = TextVectors(*(torch.from_numpy(sentences.encode(s)) for s in _texts(batch)))
    losses = alignment_losses(head, batch, text)
    assert all(torch.isfinite(value) for value in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert all(
        p.grad is not None and torch.isfinite(p.grad).all()
        for name, p in head.named_parameters()
        if name not in ("bias",)
    )


def _texts(batch: DenseBatch) -> tuple[list[str], list[str], list[str]]:
    return batch.phrases, batch.category_words, batch.captions


def test_a_name_that_is_open_is_no_rival(naming: Naming) -> None:
    """Against PyTorch's cross-entropy over the names that are rivals."""
    logits = torch.tensor([[1.0, 3.0, 0.5], [0.2, 0.1, 2.0]])
    kept = logits.masked_fill(torch.tensor([[False, True, False], [False, False, False]]), float("-inf"))
    wanted = 0.5 * (
        F.cross_entropy(torch.tensor([[1.0, 0.5]]), torch.tensor([0]))
        + F.cross_entropy(logits[1:], torch.tensor([2]))
    )
    found = category_loss(kept, torch.tensor([0, 2]), torch.ones(2))
    assert found.item() == pytest.approx(wanted.item())


def test_batches_of_photographs_and_rooms_come_from_one_stream(naming: Naming) -> None:
    def drawn() -> list[DenseBatch]:
        scenes = maker()
        photos = PhotoBatchMaker([photo_shard()], naming, SETTINGS, len(AlignmentConfig().layers), scenes.rng)
        mixed = MixedBatchMaker(scenes, photos, 0.5)
        return [mixed.draw() for _ in range(12)]

    first, second = drawn(), drawn()
    assert [one.phrases for one in first] == [one.phrases for one in second]
    photographed = [one.category_open is not None for one in first]
    assert any(photographed) and not all(photographed)


def test_what_photographs_show_is_not_always_absent() -> None:
    words = Words()
    assert "dog" in words.elsewhere
    words.without_elsewhere({"dog", "sofa"})
    assert "dog" not in words.elsewhere and "cat" in words.elsewhere


def test_views_keep_pixels_and_labels_together(naming: Naming) -> None:
    numbers = np.zeros((60, 100), np.uint8)
    numbers[:, 50:] = 1
    image = np.repeat((numbers * 200)[..., None], 3, axis=2)
    photo = LabelledPhoto("a", image, numbers, (PhotoRegion("sofa"),), DENSE)
    rgb, labels = photo_view(photo, (42, 56), None)
    assert rgb.shape == (60, 80, 3) and np.array_equal(labels, numbers[:, 10:90])
    rng = np.random.default_rng(0)
    sizes, mirrored = set(), set()
    for _ in range(20):
        rgb, labels = photo_view(photo, (42, 56), rng)
        sizes.add(labels.shape)
        assert abs(labels.shape[1] / labels.shape[0] - 4 / 3) < 0.05
        if 0 < labels.mean() < 1:
            dark, bright = rgb[labels == 0].mean(), rgb[labels == 1].mean()
            assert bright > dark + 50
            mirrored.add(bool(labels[0, 0]))
    assert len(sizes) > 5 and mirrored == {False, True}


def test_neighbours_that_stay_cost_nothing() -> None:
    vectors = F.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    same = vectors @ vectors.T
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))[0]
    turned = vectors @ rotation
    assert neighbour_loss(same, turned @ turned.T).item() == pytest.approx(0.0, abs=1e-5)
    assert neighbour_loss(same, -same).item() > 0.1
    wanted, given = (
        torch.stack([row[torch.arange(6) != i] for i, row in enumerate(one / 0.1)]).softmax(dim=1)
        for one in (same, -same)
    )
    by_hand = (wanted * (wanted / given).log()).sum(dim=1).mean()
    assert neighbour_loss(same, -same).item() == pytest.approx(by_hand.item(), rel=1e-4)


@pytest.mark.slow
def test_photographs_become_shards_and_a_head_that_names_them(tmp_path: Path) -> None:
    """From files to a head that says what it learned from, with the real image encoder."""
    import json

    from perception_contrast.encoders.alignment_head import load_alignment
    from perception_contrast.images.files import save_image
    from perception_contrast_training.config.alignment_recipe import alignment_recipe_of
    from perception_contrast_training.household.alignment.alignment_training import train

    source = tmp_path / "flats"
    for part in ("images", "labels"):
        (source / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(30):
        labels = np.zeros((112, 140), np.uint8)
        labels[:, 70:] = 1
        pixels = np.where(labels[..., None] == 1, (200, 40, 40), (40, 40, 200)) + rng.integers(
            -20, 20, (112, 140, 3)
        )
        save_image(source / "images" / f"{number:02d}.png", pixels.clip(0, 255).astype(np.uint8))
        save_image(source / "labels" / f"{number:02d}.png", labels)
    (source / "images" / "03.png").write_bytes(b"cut short")
    (source / "classes.txt").write_text("wall\nsofa\n")
    recipe = alignment_recipe_of(
        {
            "output": str(tmp_path / "run"),
            "scenes": {"images": 2, "per_shard": 10, "sizes": [[112, 140]], "shares": [1.0], "workers": 1},
            "photographs": {"paths": [str(source)]},
            "batch": {"images": 2, "crop": 8, "phrases": 12},
            "optimisation": {"steps": 3, "warm_up": 1},
        }
    )
    _, facts, _ = load_alignment(train(recipe, offline=True))
    (learned,) = json.loads(facts["learned_from"])
    assert learned["set"] == "flats" and learned["photographs"] == 10 and learned["licence"]


@pytest.mark.parametrize("method", ["alignment", "rescoring"])
def test_photographs_that_are_not_there_are_told_before_a_room_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"method: {method}\noutput: {tmp_path / 'run'}\nphotographs: {{paths: [{tmp_path / 'none'}]}}\n"
    )
    assert command(["train", "--recipe", str(recipe), "--only", "train", "--offline"]) == 2
    assert not (tmp_path / "run").exists()
