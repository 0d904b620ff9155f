"""Half precision with duplicate and blank frames, and collapses that are forced so that monitors see them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_methods import FIRST, PATCHES, SIZE, small_vit, step
from small_methods import images as source_images
from tiny_teachers import know_a_tiny_teacher
from torch import Tensor

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.config.run_settings import Optimisation
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.methods.base import Progress
from perception_contrast_training.methods.byol import Byol, ByolSettings
from perception_contrast_training.methods.dino import Dino, DinoSettings
from perception_contrast_training.methods.registry import METHODS, make_method
from perception_contrast_training.methods.scaling import Scale
from perception_contrast_training.networks.backbones import BackboneSettings
from perception_contrast_training.networks.text import TextSettings
from perception_contrast_training.views.dino import DinoViewSettings

HEAD = {"prototypes": 32, "hidden": 32, "bottleneck": 16}


def small(name: str) -> Any:
    kind = METHODS[name]
    settings, _ = kind.fit_to_data(kind.settings(), Scale(1000, 16, 2, 32))
    if kind.texts:
        settings = replace(settings, text=TextSettings(width=16, depth=1, heads=2, context=8))
    torch.manual_seed(0)
    method, _ = make_method(name, settings, small_vit())
    return method.train()


def batch_of(images: Tensor, texts: list[str]) -> dict[str, Any]:
    """All that any method asks for. images: (n, 3, SIZE, SIZE)."""
    pair = torch.stack([images, images])
    masks = torch.rand(2, len(images), PATCHES, generator=torch.Generator().manual_seed(0)) < 0.4
    masks[1] = False
    noise = torch.rand(len(images), PATCHES, generator=torch.Generator().manual_seed(1))
    small_crops = pair[..., :8, :8]
    return {
        "views": pair, "globals": pair, "locals": small_crops, "masks": masks, "image": images,
        "noise": noise, "text": texts, "view": (images * 40 + 120).clamp(0, 255).to(torch.uint8),
        "view_id": torch.arange(2 * len(images)).reshape(-1, 2),
    }  # fmt: skip


FRAMES = {
    "duplicates": (source_images(1, 3, SIZE, SIZE).float().expand(6, -1, -1, -1), ["the same"] * 6),
    "blank": (torch.zeros(6, 3, SIZE, SIZE), [""] * 6),
    "saturated": (torch.full((6, 3, SIZE, SIZE), 2.6), ["white"] * 6),
}


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("name", METHODS)
def test_frames_that_are_all_alike_stay_finite(
    name: str, frames: str, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A robot that stands still, a covered lens, a lamp in the image."""
    know_a_tiny_teacher(monkeypatch)
    method = small(name)
    images, texts = FRAMES[frames]
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        losses = method.loss(batch_of(images, texts), FIRST)
    # Losses are worked out in full precision, whatever the networks run in.
    assert losses.total.dtype == torch.float32 and torch.isfinite(losses.total)
    losses.total.backward()
    method.before_step(FIRST)
    method.after_step(FIRST)
    for parameter in method.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()
    state = method.state_dict().values()
    assert all(torch.isfinite(value).all() for value in state)
    assert all(torch.isfinite(seen).all() for seen in losses.watched.values())


def test_a_batch_with_nan_does_not_reach_the_centre() -> None:
    method = small("dino")
    images = source_images(4, 3, SIZE, SIZE).float()
    images[1, 0, 0, 0] = float("nan")
    method.loss(batch_of(images, []), FIRST)
    step(method, batch_of(source_images(4, 3, SIZE, SIZE, seed=4).float(), []))
    assert torch.isfinite(method.centre.center).all() and method.centre.center.any()


def test_texts_that_are_missing_are_asked_for() -> None:
    with pytest.raises(RecipeError, match="no texts"):
        small("clip").loss({"image": source_images(2, 3, SIZE, SIZE).float()}, FIRST)


def trained(method: Any, steps: int, rate: float) -> dict[str, Tensor]:
    """What is watched after some steps on the same few images."""
    torch.manual_seed(1)
    images = source_images(16, 3, SIZE, SIZE).float()
    for number in range(steps):
        noisy = images + 0.3 * torch.randn(2, *images.shape)
        losses = step(method, {"views": noisy, "globals": noisy}, Progress(number, 10 * steps, 1), rate)
    return dict(losses.watched)


def entropy(probabilities: Tensor) -> tuple[float, float]:
    """Of each image's teacher, mean; and of the mean teacher: both in shares of ln K."""
    most = math.log(probabilities.shape[1])
    each = -(probabilities * probabilities.clamp_min(1e-12).log()).sum(1).mean()
    mean = probabilities.mean(0)
    return float(each) / most, float(-(mean * mean.clamp_min(1e-12).log()).sum()) / most


def dino_of(**settings: Any) -> Dino:
    torch.manual_seed(0)
    return Dino(
        small_vit(),
        DinoSettings(**HEAD, warm_up_epochs=0, frozen_epochs=0, momentum=0.9, **settings),
    )


def test_dino_without_a_centre_says_one_thing_of_all_images() -> None:
    """Sharpening alone: one prototype takes all, and the entropy of the teacher goes to zero."""
    each, mean = entropy(trained(dino_of(centred=False, teacher_temperature=0.02), 60, 0.5)["teacher"])
    assert each < 0.1 and mean < 0.1


def test_dino_without_sharpening_says_nothing() -> None:
    """A teacher as soft as the student: its entropy stays at ln K, and so does the loss."""
    method = dino_of(teacher_temperature=1.0)
    each, mean = entropy(trained(method, 30, 0.5)["teacher"])
    assert each > 0.98 and mean > 0.98


def spread(embedding: Tensor) -> float:
    """Mean deviation of unit vectors' channels times the root of their number: 1 for evenly spread ones."""
    unit = torch.nn.functional.normalize(embedding, dim=1)
    return float(unit.std(0).mean() * unit.shape[1] ** 0.5)


def test_byol_without_predictor_and_batch_norm_loses_its_spread() -> None:
    found = {}
    for there in (True, False):
        torch.manual_seed(0)
        settings = ByolSettings(hidden=32, dim=16, predictor=there, batch_norm=there, momentum=0.5)
        found[there] = spread(trained(Byol(small_vit(), settings), 100, 0.5)["embedding"])
    assert found[False] < 0.1 * found[True] and found[False] < 0.03, found


def test_small_crops_of_a_convolution_have_gradients_in_half_precision_on_the_cpu() -> None:
    """Its last stride is over one cell, where oneDNN's kernel leaves what was in memory."""
    settings = DinoSettings(
        prototypes=16, hidden=16, views=DinoViewSettings(local_size=16, locals=2), frozen_epochs=0.0
    )
    torch.manual_seed(0)
    method, _ = make_method("dino", settings, BackboneSettings("resnet10t", size=64))
    optimisation = Optimisation(steps=2, batch=4, precision="bfloat16", learning_rate=1e-5, warm_up=0)
    trainer = Trainer(method, optimisation, epoch_steps=1)
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        large, small = (torch.randn(2, 4, 3, side, side, generator=generator) for side in (64, 16))
        step = trainer.step({"globals": large, "locals": small})
        assert step.moved and step.figures["gradient norm"] < 1e3
