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
from perception_contrast_training.methods.registry import METHODS, make_method
from perception_contrast_training.monitors.collapse import (
    assignment_alarms,
    assignment_figures,
    gradient_alarms,
    loss_alarms,
    vector_alarms,
    vector_figures,
)
from perception_contrast_training.monitors.measures import (
    alignment,
    entropies,
    feature_spread,
    rank_me,
    uniformity,
)
from perception_contrast_training.monitors.watch import Watcher
from perception_contrast_training.networks.backbones import BackboneSettings


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
    settings = Optimisation(steps=60, batch=8, learning_rate=0.1, scaling="fixed", warm_up=0)
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


def watched(name: str, **changes: Any) -> set[str]:
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
        steps=80, batch=32, learning_rate=1e-3, scaling="fixed", warm_up=5, weight_decay=0.04, clip=3.0
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


@pytest.mark.parametrize("name", ["simclr", "byol", "dino", "dinov2"])
def test_a_sound_run_trips_none(name: str) -> None:
    assert watched(name) == set()
