"""Monitors against other libraries, on vectors that are known, and on runs that are made to collapse."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from tiny_methods import TinyContrast
from tiny_runs import components
from torch import Tensor

from perception_contrast_training.config.run_settings import MonitorSettings, Optimisation
from perception_contrast_training.data.loading.batches import batches
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.engine.trainer import Step, Trainer
from perception_contrast_training.engine.training_loop import CollapseError, TrainingLoop
from perception_contrast_training.methods.contrastive_batch import watched_negatives
from perception_contrast_training.methods.registry import METHODS, make_method
from perception_contrast_training.methods.simclr import Simclr, SimclrSettings
from perception_contrast_training.monitors.collapse import (
    CURES,
    Alarm,
    assignment_alarms,
    assignment_figures,
    gradient_alarms,
    loss_alarms,
    rate_alarms,
    vector_alarms,
    vector_figures,
)
from perception_contrast_training.monitors.measures import (
    HARDEST,
    MARGINS,
    RIVALLED,
    alignment,
    entropies,
    feature_spread,
    negative_measures,
    rank_me,
    uniformity,
)
from perception_contrast_training.monitors.watch import Watcher
from perception_contrast_training.networks.backbones import BackboneOutput, BackboneSettings


def points(count: int, channels: int, rank: int = 0) -> Tensor:
    chance = torch.Generator().manual_seed(0)
    rows = torch.randn(count, rank or channels, generator=chance)
    return rows @ torch.randn(rank, channels, generator=chance) if rank else rows


# Measures.


def test_rank_me_is_exp_of_the_entropy_of_singular_values() -> None:
    vectors = points(60, 20, 7)
    values = np.linalg.svd(vectors.double().numpy(), compute_uv=False)
    assert rank_me(vectors) == pytest.approx(np.exp(scipy.stats.entropy(values)), rel=1e-4)
    assert rank_me(torch.linalg.qr(points(60, 20))[0]) == pytest.approx(20, rel=1e-4)
    assert rank_me(torch.ones(60, 20)) == pytest.approx(1.0, abs=1e-3)


def test_spread_is_one_on_a_sphere_and_zero_in_a_point() -> None:
    assert feature_spread(points(4000, 32)) == pytest.approx(1.0, abs=0.01)
    assert feature_spread(torch.ones(10, 32) * torch.arange(1, 11)[:, None]) == pytest.approx(0.0, abs=1e-9)


def test_alignment_and_uniformity_are_those_of_the_paper() -> None:
    """By loops over pairs, as Wang & Isola define them."""
    x, y = (
        torch.nn.functional.normalize(points(12, 5)[:, order], dim=-1) for order in ([0, 1, 2], [1, 2, 0])
    )
    assert alignment(3 * x, y) == pytest.approx(
        sum(float((a - b) @ (a - b)) for a, b in zip(x, y, strict=True)) / 12
    )
    pairs = [math.exp(-2 * float((a - b) @ (a - b))) for i, a in enumerate(x) for b in x[:i]]
    assert uniformity(x) == pytest.approx(math.log(sum(pairs) / len(pairs)), rel=1e-5)
    assert uniformity(torch.ones(9, 4)) == pytest.approx(0.0, abs=1e-9)


def test_entropies_are_scipys() -> None:
    choices = points(30, 16).softmax(dim=-1)
    of_mean, mean = entropies(choices)
    assert of_mean == pytest.approx(scipy.stats.entropy(choices.mean(0).numpy()), rel=1e-5)
    assert mean == pytest.approx(scipy.stats.entropy(choices.numpy(), axis=1).mean(), rel=1e-5)
    assert entropies(torch.full((4, 8), 1 / 8)) == pytest.approx((math.log(8), math.log(8)))
    assert entropies(torch.eye(8)) == pytest.approx((math.log(8), 0.0))


# What they say.


def kinds(vectors: Tensor) -> list[str]:
    return [alarm.kind for alarm in vector_alarms(vector_figures(vectors), *vectors.shape)]


def test_vectors_collapse_to_a_point_or_to_few_dimensions() -> None:
    assert kinds(points(200, 64)) == []
    assert kinds(torch.ones(200, 64) + 0.01 * points(200, 64)) == ["point"]
    assert kinds(points(200, 64, 1)) == ["lines"], "the spread alone would not see it"
    assert feature_spread(points(200, 64, 1)) > 0.7


def said(choices: Tensor) -> list[str]:
    return [alarm.kind for alarm in assignment_alarms(assignment_figures(choices))]


def test_teachers_collapse_to_one_prototype_or_to_all() -> None:
    sharp = (20 * points(256, 64)).softmax(dim=-1)
    assert said(sharp) == []
    assert said((points(256, 64) + 50 * torch.eye(64)[3]).softmax(dim=-1)) == ["prototype"]
    assert said((0.01 * points(256, 64)).softmax(dim=-1)) == ["uniform"]


def test_a_loss_that_does_not_vary_stands_at_chance() -> None:
    chance = np.random.default_rng(0)
    for batch in (64, 4096):
        of_images = chance.normal(5, 1, (100, batch))
        assert not list(loss_alarms(of_images.mean(axis=1).tolist(), batch)), "the mean of few varies more"
        pinned = 5 + 1e-3 * (of_images - 5).mean(axis=1)
        assert [a.kind for a in loss_alarms(pinned.tolist(), batch)] == ["level"]


def test_gradients_explode_or_vanish() -> None:
    usual = [1.0, 2.0, 1.5] * 20
    assert not list(gradient_alarms([*usual, 9.0, 500.0, 1.0], 3)), "one high norm is no explosion"
    assert [a.kind for a in gradient_alarms([*usual, 900.0, 500.0, 400.0], 3)] == ["exploding"]
    assert [a.kind for a in gradient_alarms([*usual, 0.0, 0.0, 0.0], 3)] == ["vanishing"]


def test_weights_that_grow_in_a_few_steps_are_a_rate_that_is_too_high() -> None:
    usual = [8.5 + 0.02 * step for step in range(100)]
    assert not list(rate_alarms(usual)) and not list(rate_alarms([0.0, 1.0]))
    (alarm,) = rate_alarms([8.5, 12.0, 30.0, 66.0])
    assert alarm.kind == "rate" and "7.8 times what they were 3 steps before" in alarm.text
    assert alarm.stops and alarm.text.endswith(CURES["rate"]) and "learning_rate" in CURES["rate"]


# When it is said.


def alarms(healthy: int, ill: int, settings: MonitorSettings, steps: int = 1000) -> list[tuple[int, str]]:
    """Of a run that is healthy first and then has one vector for all."""
    watcher = Watcher(settings, steps, 16)
    found = []
    for number in range(healthy + ill):
        vectors = points(16, 8) if number < healthy else torch.ones(16, 8)
        step = Step(
            number + 1, True, {"loss": math.sin(number), "gradient norm": 1.0}, {"embedding": vectors}
        )
        found += [(number + 1, alarm.kind) for alarm in watcher.look(step)[1]]
    return found


def test_alarms_wait_for_grace_and_patience_and_come_once() -> None:
    settings = MonitorSettings(every=2, rows=16, patience=3, grace=0.1)
    assert alarms(0, 200, settings) == [(100, "point")], "not before a tenth of the run"
    assert alarms(20, 100, settings) == [(26, "point")], "sooner if it had been healthy"
    assert alarms(200, 0, settings) == []
    assert alarms(20, 100, replace(settings, alarms="none")) == []


def test_an_alarm_saves_and_stops_a_run_or_only_tells(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Optimisation(steps=60, batch=8, learning_rate=0.02, scaling="fixed", warm_up=0)
    order = Order(64, 8, 3)

    def run(folder: Path, policy: Any) -> Trainer:
        trainer = Trainer(TinyContrast(repel=False, batch_norm=False), settings, epoch_steps=8)
        watcher = Watcher(MonitorSettings(every=2, rows=32, patience=2, alarms=policy), 60, 8)
        TrainingLoop(trainer, components(folder, order, trainer, watcher=watcher)).run()
        return trainer

    with pytest.raises(CollapseError, match="this is collapsing, because all images get nearly one vector"):
        run(tmp_path / "stop", "stop")
    assert list((tmp_path / "stop").glob("step_*.safetensors")), "saved before it ended"
    assert run(tmp_path / "warn", "warn").finished
    assert "this is collapsing" in caplog.text


# Methods that are made to collapse.


class Scenes:
    """Images of four soft colours each: what differs between them survives crops."""

    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return 96

    def __getitem__(self, index: int) -> dict[str, Any]:
        chance = torch.Generator().manual_seed(index)
        corners = torch.rand(1, 3, 2, 2, generator=chance) * 255
        image = torch.nn.functional.interpolate(corners, (32, 32), mode="bilinear")
        return {"image": image[0].to(torch.uint8)}


SMALL: dict[str, dict[str, Any]] = {
    "simclr": {"temperature": 0.5},
    "byol": {"hidden": 128, "dim": 32, "momentum": 0.95},
    "dino": {"prototypes": 128, "hidden": 64, "bottleneck": 32, "momentum": 0.98, "frozen_epochs": 0.0,
             "warm_up_epochs": 0.0, "teacher_temperature": 0.04},
    "dinov2": {"prototypes": 128, "hidden": 64, "bottleneck": 32, "momentum": 0.9, "frozen_epochs": 0.0,
               "warm_up_epochs": 0.0, "teacher_temperature": 0.04},
}  # fmt: skip


def watched(name: str, rate: float = 1e-3, **changes: Any) -> set[str]:
    """Kinds of the alarms of a short run."""
    kind = METHODS[name]
    settings = kind.settings(**{**SMALL[name], **changes})
    if hasattr(settings.views, "locals"):
        settings = replace(settings, views=replace(settings.views, locals=0))
    torch.manual_seed(0)
    backbone = BackboneSettings(name="vit_tiny_patch16_224", size=32, patch=8, width=32, depth=2, heads=2)
    method, views = make_method(name, settings, backbone)
    order = Order(96, 32, 0)
    optimisation = Optimisation(
        steps=80, batch=32, learning_rate=rate, scaling="fixed", warm_up=5, weight_decay=0.04, clip=3.0
    )
    trainer = Trainer(method, optimisation, epoch_steps=3)
    watcher = Watcher(MonitorSettings(every=5, rows=256), 80, 32)
    source, found = batches(Scenes(), views, order), set()
    for _ in range(80):
        found |= {alarm.kind for alarm in watcher.look(trainer.step(next(source)))[1]}
    return found


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("simclr", {"temperature": 100.0}, {"level"}),
        ("byol", {"predictor": False}, {"point"}),
        ("dino", {"centred": False}, {"prototype"}),
        ("dino", {"teacher_temperature_start": 1.0, "teacher_temperature": 1.0}, {"uniform"}),
        ("dinov2", {"teacher_temperature_start": 5.0, "teacher_temperature": 5.0}, {"uniform"}),
    ],
)  # fmt: skip
def test_a_forced_collapse_trips_the_alarm(name: str, changes: dict[str, Any], expected: set[str]) -> None:
    assert watched(name, **changes) & expected


@pytest.mark.parametrize("name", ["simclr", "byol"])
def test_a_rate_that_is_too_high_trips_the_alarm_without_a_collapse(name: str) -> None:
    assert "rate" in watched(name, rate=0.3)


@pytest.mark.parametrize("name", ["simclr", "byol", "dino", "dinov2"])
def test_a_sound_run_trips_none(name: str) -> None:
    assert watched(name) == set()


# Negatives.


class Linear(torch.nn.Module):
    """A backbone of one layer, whose vectors use all their channels from the start."""

    dim, patch, depth, is_vit = 64, 1, 0, False

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3 * 8 * 8, self.dim, bias=False)

    def forward(self, images: Tensor) -> BackboneOutput:
        pooled = self.layer(images.flatten(1))
        return BackboneOutput(pooled, pooled[:, None])


class Noise:
    """Images of noise, each in some near-copies."""

    classes: tuple[str, ...] = ()

    def __init__(self, copies: int) -> None:
        self._copies = copies

    def __len__(self) -> int:
        return 128

    def __getitem__(self, index: int) -> dict[str, Any]:
        image, own = torch.rand(3, 8, 8, generator=seeded(index // self._copies)), seeded(1000 + index)
        return {"image": (200 * image + 20 * torch.rand(3, 8, 8, generator=own)).to(torch.uint8)}


def seeded(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


class Shaken:
    """Two views with noise of their own, around 0."""

    def __call__(self, image: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        seen = image.float() / 255 - 0.4
        return {"views": seen + 0.05 * torch.randn(2, *seen.shape, generator=generator)}


def contrasted(copies: int = 1, temperature: float = 0.1) -> dict[str, Alarm]:
    """Alarms of SimCLR on images with near-copies."""
    torch.manual_seed(0)
    method = Simclr(Linear(), SimclrSettings(temperature=temperature, dim=32, hidden=64))  # type: ignore[arg-type]
    order = Order(128, 64, 0)
    settings = Optimisation(steps=30, batch=64, learning_rate=1e-3, scaling="fixed", warm_up=2)
    trainer = Trainer(method, settings, epoch_steps=2)
    watcher, found = Watcher(MonitorSettings(every=2, rows=128), 30, 64), {}
    source = batches(Noise(copies), Shaken(), order)
    for _ in range(30):
        found |= {alarm.kind: alarm for alarm in watcher.look(trainer.step(next(source)))[1]}
    return found


def test_unlike_images_at_the_published_temperature_trip_no_alarm() -> None:
    assert contrasted() == {}


def test_near_copies_in_a_batch_are_false_negatives() -> None:
    alarm = contrasted(copies=8)["duplicates"]
    assert "data dedup" in alarm.text and "apart_seconds" in alarm.text and not alarm.stops


def test_a_temperature_that_is_too_low_leaves_one_negative() -> None:
    alarm = contrasted(temperature=0.01)["temperature"]
    assert "Raise options.temperature" in alarm.text and not alarm.stops


def test_measures_of_negatives_are_those_of_loops() -> None:
    cosines = points(5, 40).tanh()
    negative = torch.rand(5, 40, generator=seeded(3)) < 0.7
    match = torch.tensor([3, 1, 4, 1, 5])
    negative.scatter_(1, match[:, None], False)
    found = negative_measures(cosines, match, negative, 0.2)
    for row in range(5):
        others = [float(cosines[row, j]) for j in range(40) if negative[row, j]]
        own, (low, middle) = float(cosines[row, match[row]]), np.quantile(others, [0.16, 0.5])
        beyond = (own - middle) / (middle - low) - math.sqrt(2 * math.log(len(others)))
        weights = [math.exp(one / 0.2) for one in others]
        assert float(found[MARGINS][row]) == pytest.approx(beyond, rel=1e-4)
        assert float(found[HARDEST][row]) == pytest.approx(max(weights) / sum(weights), rel=1e-4)
        assert bool(found[RIVALLED][row]) == (max(others) >= own)
    assert negative_measures(cosines, match, torch.zeros_like(negative)) == {}, "too few to say"


def test_pairs_that_the_loss_leaves_out_are_no_rivals() -> None:
    """Captions that are the same are rivals, unless their images are no negatives of each other."""
    image, text = points(40, 8), points(40, 8).repeat_interleave(2, 0)[:40]
    every = watched_negatives(image, text, None, 1 << 20)
    assert HARDEST not in every and float(every[RIVALLED].mean()) > 0.9
    apart = torch.arange(40)[:, None] // 2 != torch.arange(40) // 2
    known = watched_negatives(text, text, apart, 1 << 20)
    assert float(watched_negatives(text, text, None, 1 << 20)[RIVALLED].mean()) == 1.0
    assert float(known[RIVALLED].mean()) == 0.0
