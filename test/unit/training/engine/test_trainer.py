"""The loop: schedules, batches, steps, skipped batches, several processes, interruption."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_methods import Colours, TinyContrast, TwoViews
from tiny_runs import QUICK, components, feed
from torch import Tensor

from perception_contrast.core.errors import FrameError, PerceptionError, RecipeError
from perception_contrast_training.config.run_settings import Optimisation, require_sane
from perception_contrast_training.data.loading.batches import UNREADABLE, batches
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.engine.checkpoint import Checkpoints, load_into, read_snapshot
from perception_contrast_training.engine.journal import JsonLines, journals, read_log
from perception_contrast_training.engine.schedules import cosine, scaled, warmed_up
from perception_contrast_training.engine.trainer import DivergedError, Trainer
from perception_contrast_training.engine.training_loop import TrainingLoop


def trained(settings: Optimisation, steps: int, method: TinyContrast | None = None) -> Trainer:
    order = Order(64, settings.batch, 3)
    trainer = Trainer(method or TinyContrast(), settings, epoch_steps=order.pass_batches, seed=5)
    source = feed(order)
    for _ in range(steps):
        trainer.step(next(source))
    return trainer


# Schedules.


def test_schedules_are_torchs(tmp_path: Path) -> None:
    """Against torch's own linear and cosine schedulers in a row."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    steps, warm = 40, 8
    rows = [
        torch.optim.lr_scheduler.LinearLR(optimiser, 1 / warm, 1.0, warm - 1),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps - warm, 0.2),
    ]
    joined = torch.optim.lr_scheduler.SequentialLR(optimiser, rows, [warm])
    for step in range(steps):
        assert warmed_up(2.0, 0.2, step, steps, warm) == pytest.approx(
            optimiser.param_groups[0]["lr"], rel=1e-9
        )
        optimiser.step()
        joined.step()
    assert cosine(0.04, 0.4, 1.0) == cosine(0.04, 0.4, 7.0) == pytest.approx(0.4)


def test_learning_rates_scale_with_the_batch() -> None:
    assert scaled(0.3, 512, "linear", 256) == pytest.approx(0.6)
    assert scaled(0.3, 1024, "root", 256) == pytest.approx(0.6)
    assert scaled(0.3, 512, "fixed", 256) == 0.3


def test_groups_follow_the_schedules_by_their_factors() -> None:
    trainer = trained(QUICK, 4)
    backbone, head = trainer.optimiser.param_groups
    assert head["lr"] == pytest.approx(2 * backbone["lr"]) and head["weight_decay"] == 0.0
    assert backbone["weight_decay"] == pytest.approx(cosine(0.1, 0.2, 3 / 12))


# Batches.


def test_each_pass_holds_every_image_once_in_another_order() -> None:
    order = Order(64, 8, 1)
    passes = [[i for n in range(8) for i, _ in order.batch_at(8 * turn + n)] for turn in range(2)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(64)) and passes[0] != passes[1]
    places = [place for n in range(16) for _, place in order.batch_at(n)]
    assert places == list(range(128))


def test_processes_share_what_one_would_see() -> None:
    order = Order(64, 8, 1)
    assert order.share_at(5, 0, 2) + order.share_at(5, 1, 2) == order.batch_at(5)


def test_batches_go_on_at_any_number_with_any_number_of_workers() -> None:
    order = Order(64, 8, 1)
    whole = list(islice(feed(order), 7))
    late = list(islice(feed(order, start=4, workers=2), 3))
    for one, other in zip(whole[4:], late, strict=True):
        assert one["key"] == other["key"]
        assert torch.equal(one["views"], other["views"])
    assert whole[0]["views"].shape == (2, 8, 3, 8, 8)


def test_too_few_images_are_refused_by_number() -> None:
    with pytest.raises(PerceptionError, match="5 images to learn from do not fill a batch of 8"):
        Order(5, 8, 0)


class Damaged(Colours):
    def __getitem__(self, index: int) -> Any:
        if index % 4 == 1:
            raise FrameError("damaged", "image is damaged")
        return super().__getitem__(index)


def test_unreadable_images_are_counted_and_replaced() -> None:
    order = Order(64, 64, 0)
    batch = next(iter(batches(Damaged(), TwoViews(), order)))
    assert int(batch[UNREADABLE].sum()) == 16 and len(batch["key"]) == 64
    assert not [key for key in batch["key"] if int(key) % 4 == 1]


class AllDamaged(Colours):
    def __getitem__(self, index: int) -> Any:
        raise FrameError("damaged", "image is damaged")


def test_a_data_set_of_damaged_images_ends_the_run() -> None:
    with pytest.raises(PerceptionError, match="none of 64 images"):
        next(iter(batches(AllDamaged(), TwoViews(), Order(64, 8, 0))))


# Steps.


def test_a_step_is_adamw_on_the_loss() -> None:
    """Against torch's own optimiser driven by hand."""
    ours = trained(replace(QUICK, clip=0.5), 3, TinyContrast(dropout=0.0))
    method = TinyContrast(dropout=0.0)
    plain = torch.optim.AdamW(
        [{"params": method.backbone.parameters()}, {"params": method.head.parameters()}]
    )
    source = feed(Order(64, 8, 3))
    method.train()
    for step in range(3):
        rate, decay = warmed_up(3e-3, 0, step, 12, 2), cosine(0.1, 0.2, step / 12)
        plain.param_groups[0].update(lr=rate, weight_decay=decay)
        plain.param_groups[1].update(lr=2 * rate, weight_decay=0.0)
        plain.zero_grad()
        progress = ours.progress
        method.loss(next(source), progress).total.backward()
        torch.nn.utils.clip_grad_norm_([p for p in method.parameters() if p.requires_grad], 0.5)
        plain.step()
        method.after_step(progress)
    for name, value in method.state_dict().items():
        torch.testing.assert_close(ours.module.state_dict()[name], value, rtol=1e-6, atol=1e-7, msg=name)


def test_parts_of_a_batch_give_the_mean_of_their_gradients() -> None:
    class Mean(TinyContrast):
        """Nothing compares images, so parts and whole have one gradient."""

        def __init__(self) -> None:
            super().__init__(repel=False, dropout=0.0, batch_norm=False)

    whole, parts = trained(QUICK, 3, Mean()), trained(replace(QUICK, micro_batch=2), 3, Mean())
    for a, b in zip(whole.parameters, parts.parameters, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimiser", ["sgd", "lars"])
def test_other_optimisers_learn(optimiser: str) -> None:
    settings = replace(QUICK, optimiser=optimiser, learning_rate=0.05, steps=40)  # type: ignore[arg-type]
    order = Order(64, 8, 3)
    trainer = Trainer(TinyContrast(), settings, epoch_steps=8)
    source = feed(order)
    losses = [trainer.step(next(source)).figures["loss"] for _ in range(40)]
    assert sum(losses[-5:]) < sum(losses[:5])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_learns(precision: str) -> None:
    trainer = trained(replace(QUICK, precision=precision), 12)  # type: ignore[arg-type]
    assert trainer.step_count + trainer.skipped == 12
    assert all(bool(p.isfinite().all()) for p in trainer.module.parameters())


def test_averaged_weights_are_what_is_evaluated() -> None:
    """Against the mean worked out by hand; the run itself moves as without an average."""
    plain, averaged = trained(QUICK, 0), trained(replace(QUICK, average=0.6), 0)
    mean = {name: value.clone() for name, value in plain.module.state_dict().items()}
    for number, batch in enumerate(islice(feed(Order(64, 8, 3)), 12), 1):
        for trainer in (plain, averaged):
            trainer.step(batch)
        momentum = min(0.6, number / (number + 10))
        for name, value in plain.module.state_dict().items():
            floating = value.is_floating_point()
            mean[name] = momentum * mean[name] + (1 - momentum) * value if floating else value.clone()
    own = {name: value.clone() for name, value in plain.module.state_dict().items()}
    with averaged.evaluated():
        for name, value in averaged.module.state_dict().items():
            torch.testing.assert_close(value, mean[name], rtol=1e-5, atol=1e-6)
    assert all(torch.equal(value, own[name]) for name, value in averaged.module.state_dict().items())


# What is not finite.


def poisoned(source: Iterator[dict[str, Any]], numbers: set[int]) -> Iterator[dict[str, Any]]:
    for number, batch in enumerate(source):
        if number in numbers:
            batch["views"][0, 1] = torch.nan
        yield batch


def test_a_batch_with_nan_leaves_no_trace() -> None:
    order = Order(64, 8, 3)
    trainer = Trainer(TinyContrast(), QUICK, epoch_steps=8)
    source = poisoned(feed(order), {2})
    for _ in range(2):
        trainer.step(next(source))
    before = {name: value.clone() for name, value in trainer.module.state_dict().items()}
    step = trainer.step(next(source))
    assert not step.moved and (trainer.step_count, trainer.batches, trainer.skipped) == (2, 3, 1)
    assert all(torch.equal(before[name], value) for name, value in trainer.module.state_dict().items())
    assert trainer.step(next(source)).moved


class Overflowing(TinyContrast):
    """Finite images, a loss that is not, after the running statistics have seen it."""

    def loss(self, batch: Any, progress: Any) -> Any:
        losses = super().loss(batch, progress)
        return replace(losses, total=losses.total * torch.inf)


def test_a_loss_that_is_not_finite_moves_nothing_and_ends_a_run_in_the_end() -> None:
    trainer = Trainer(Overflowing(), replace(QUICK, most_skipped=4), epoch_steps=8)
    before = {name: value.clone() for name, value in trainer.module.state_dict().items()}
    source = feed(Order(64, 8, 3))
    for _ in range(3):
        assert not trainer.step(next(source)).moved
    floating = {n: v for n, v in trainer.module.state_dict().items() if v.is_floating_point()}
    assert all(torch.equal(before[name], value) for name, value in floating.items())
    with pytest.raises(DivergedError, match="4 batches on end were skipped"):
        trainer.step(next(source))


# Settings.


@pytest.mark.parametrize(
    ("changes", "processes", "said"),
    [
        ({"steps": 0}, 1, "optimisation.steps"),
        ({"batch": 9}, 2, "does not part evenly among 2 processes; use 8"),
        ({"micro_batch": 3}, 1, "micro_batch 3 does not divide a process's share of the batch, 8"),
        ({"clip": -1.0}, 1, "optimisation.clip"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: Mapping[str, Any], processes: int, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        require_sane(replace(QUICK, **changes), processes)


# Whole runs.


def test_a_run_writes_checkpoints_and_a_line_a_step(tmp_path: Path) -> None:
    order = Order(64, 8, 3)
    trainer = Trainer(TinyContrast(), QUICK, epoch_steps=8)
    assert TrainingLoop(trainer, components(tmp_path, order, trainer)).run() == "finished"
    assert Checkpoints(tmp_path, 2).steps() == [10, 12] or 5 in Checkpoints(tmp_path, 2).steps()
    log = read_log(tmp_path / "log.jsonl")
    assert [line["step"] for line in log] == list(range(1, 13))
    assert {"loss", "loss/attract", "gradient norm", "learning rate", "images per second"} <= log[0].keys()


def test_tensorboard_files_hold_the_figures(tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for journal in journals(tmp_path, 0, tensorboard=True):
        journal.note(1, {"loss": 2.5})
        journal.note(2, {"loss": 1.5})
        journal.close()
    events = reading.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 2.5), (2, 1.5)]


def test_a_log_takes_back_what_was_not_saved(tmp_path: Path) -> None:
    first = JsonLines(tmp_path / "log.jsonl")
    for step in range(1, 6):
        first.note(step, {"loss": math.nan if step == 2 else float(step)})
    first.close()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')
    JsonLines(tmp_path / "log.jsonl", start=3).close()
    assert [line["loss"] for line in read_log(tmp_path / "log.jsonl")] == [1.0, None, 3.0]


def test_ctrl_c_saves_and_ends(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    order = Order(64, 8, 3)
    trainer = Trainer(TinyContrast(), QUICK, epoch_steps=8)
    run_parts = components(tmp_path, order, trainer)

    def pressed(source: Iterator[Any]) -> Iterator[Any]:
        for number, batch in enumerate(source):
            if number == 6:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    assert TrainingLoop(trainer, replace(run_parts, feed=pressed(run_parts.feed))).run() == "interrupted"
    assert trainer.step_count == 7 and 7 in Checkpoints(tmp_path, 2).steps()
    assert signal.getsignal(signal.SIGINT) is before


# Several processes.

_TWO = """
import sys, torch
sys.path[:0] = {paths!r}
from tiny_runs import QUICK, feed
from tiny_methods import TinyContrast
from dataclasses import replace
from perception_contrast_training.engine.checkpoint import write_snapshot
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.engine.distributed import joined
torch.set_num_threads(1)
class Mean(TinyContrast):
    def __init__(self):
        super().__init__(repel=False, dropout=0.0, batch_norm=False)
with joined("cpu") as processes:
    order = Order(64, 8, 3)
    torch.manual_seed(processes.rank)
    method = Mean()
    if processes.rank:
        torch.nn.init.zeros_(method.head[-1].weight)  # the first one's weights must win
    trainer = Trainer(method, QUICK, epoch_steps=8, seed=5, processes=processes)
    source = feed(order, rank=processes.rank, processes=processes.count)
    for _ in range(6):
        batch = next(source)
        if _ == 3 and processes.rank:
            batch["views"][:] = float("nan")
        trainer.step(batch)
    assert trainer.skipped == 1
    if processes.first:
        from pathlib import Path
        write_snapshot(Path({out!r}), trainer.snapshot())
"""


def test_two_processes_are_one(tmp_path: Path) -> None:
    """And a batch that one of them cannot use is skipped by both."""
    here = str(Path(__file__).resolve().parents[3] / "support")
    script, out = tmp_path / "two.py", tmp_path / "two.safetensors"
    script.write_text(_TWO.format(paths=[here], out=str(out)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]

    order = Order(64, 8, 3)
    method = TinyContrast(repel=False, dropout=0.0, batch_norm=False)
    trainer = Trainer(method, QUICK, epoch_steps=8, seed=5)
    for batch in islice(poisoned(feed(order), {3}), 6):
        trainer.step(batch)
    both = read_snapshot(out)
    for name, value in trainer.module.state_dict().items():
        torch.testing.assert_close(both.method[name], value, rtol=1e-5, atol=1e-6, msg=name)
    fresh: Tensor = TinyContrast(batch_norm=False).head[-1].weight
    assert not torch.equal(both.method["head.1.weight"], fresh), "they did learn"
    load_into(method, both.method, out)
    assert json.dumps(both.step) == "5"
