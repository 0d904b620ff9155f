"""Checkpoints: whole or not there, and a run that goes on from one is the run that never stopped."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_methods import TinyContrast
from tiny_runs import LONG, ORDER, components, feed, fresh, resumed, same
from torch import nn

from perception_contrast_training.engine import checkpoint
from perception_contrast_training.engine.checkpoint import (
    CheckpointError,
    Checkpoints,
    Snapshot,
    StoredSnapshot,
    load_into,
    read_snapshot,
    write_snapshot,
)
from perception_contrast_training.engine.random_streams import RandomStreams
from perception_contrast_training.engine.resume import restore
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.engine.training_loop import TrainingLoop

# Files.


def test_what_is_written_is_read_bit_for_bit(tmp_path: Path) -> None:
    trainer = fresh()
    source = feed(ORDER)
    for _ in range(3):
        trainer.step(next(source))
    snapshot = trainer.snapshot(note="x")
    write_snapshot(tmp_path / "a.safetensors", snapshot)
    read = read_snapshot(tmp_path / "a.safetensors")
    assert same(snapshot, read) and read.about == {"note": "x"}
    assert read.optimiser["param_groups"] == json.loads(json.dumps(snapshot.optimiser["param_groups"]))


def test_averages_and_random_streams_resume_and_are_missed_where_they_are_not(tmp_path: Path) -> None:
    def averaged() -> tuple[Trainer, np.random.Generator]:
        rng = np.random.default_rng(3)
        torch.manual_seed(4)
        settings = replace(LONG, average=0.9)
        return Trainer(TinyContrast(), settings, epoch_steps=8, streams=RandomStreams(batches=rng)), rng

    def step(trainer: Trainer, rng: np.random.Generator) -> None:
        trainer.step({"views": torch.from_numpy(rng.random((2, 8, 3, 8, 8), np.float32))})

    whole, rng = averaged()
    for _ in range(9):
        step(whole, rng)
        if whole.step_count == 5:
            write_snapshot(tmp_path / "a.safetensors", whole.snapshot())
    later, rng = averaged()
    stored = StoredSnapshot(tmp_path / "a.safetensors", read_snapshot(tmp_path / "a.safetensors"))
    restore(later, stored)
    for _ in range(4):
        torch.rand(3)  # of somebody else
        step(later, rng)
    one, two = whole.snapshot(), later.snapshot()
    assert same(one, two) and all(
        torch.equal(value, two.average[name]) for name, value in one.average.items()
    )
    with pytest.raises(CheckpointError, match="lacks averaged weights"):
        restore(averaged()[0], stored._replace(snapshot=replace(stored.snapshot, average={})))
    with pytest.raises(CheckpointError, match="lacks the state of random numbers"):
        restore(averaged()[0], stored._replace(snapshot=replace(stored.snapshot, random=None)))


def test_tied_weights_and_slices_are_kept(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight
            self.register_buffer("part", torch.arange(12.0).view(3, 4)[1:, ::2])

    module, other = Tied(), Tied()
    state = {"state": {}, "param_groups": []}
    write_snapshot(tmp_path / "a.safetensors", Snapshot(module.state_dict(), state, 1, 1))
    load_into(other, read_snapshot(tmp_path / "a.safetensors").method, tmp_path)
    assert other.a.weight is other.b.weight and torch.equal(other.a.weight, module.a.weight)
    assert torch.equal(other.part, torch.tensor([[4.0, 6.0], [8.0, 10.0]]))


def test_another_methods_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not fit the recipe's method"):
        load_into(nn.Linear(2, 2), {"weight": torch.zeros(3, 3)}, tmp_path / "a.safetensors")


def test_the_last_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints, snapshot = Checkpoints(tmp_path, 2), fresh().snapshot()
    for step, figure in ((1, 0.2), (2, 0.9), (3, 0.1), (4, 0.3), (5, None)):
        checkpoints.write(replace(snapshot, step=step), figure)
    assert checkpoints.steps() == [2, 4, 5] and checkpoints.best() == (2, 0.9)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    checkpoints, snapshot = Checkpoints(tmp_path, 3), fresh().snapshot()
    for step in (1, 2):
        checkpoints.write(replace(snapshot, step=step))
    newest = checkpoints.path_of(2)
    damaged = newest.read_bytes()[:-100]
    newest.write_bytes(damaged)
    found = checkpoints.newest()
    assert found is not None and found[1].step == 1
    assert newest.read_bytes() == damaged, "it was left as it was"
    checkpoints.path_of(1).write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match="no readable checkpoint"):
        checkpoints.newest()


_FULL = """
import resource, sys
sys.path[:0] = {paths!r}
from dataclasses import replace
from pathlib import Path
from tiny_runs import LONG, ORDER, components, fresh
from perception_contrast_training.engine.checkpoint import Checkpoints, CheckpointError
from perception_contrast_training.engine.training_loop import TrainingLoop
from perception_contrast_training.config.run_settings import CheckpointSettings
folder = Path({folder!r})
trainer = fresh(replace(LONG, steps=12))
settings = CheckpointSettings(every=5, disk_full={policy!r})
found = replace(components(folder, ORDER, trainer), settings=settings)
real, calls = found.checkpoints.write, []
def write(snapshot, figure=None):
    calls.append(snapshot.step)
    small = snapshot.step == 10  # the disk is full for a while
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096 if small else resource.RLIM_INFINITY, -1))
    try:
        return real(snapshot, figure)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
found.checkpoints.write = write
try:
    print(TrainingLoop(trainer, found).run(), calls, found.checkpoints.steps())
except CheckpointError as error:
    print("stopped", calls, found.checkpoints.steps(), error)
"""


@pytest.mark.parametrize("policy", ["go_on", "stop"])
def test_a_full_disk_harms_no_earlier_checkpoint(tmp_path: Path, policy: str) -> None:
    """The system itself refuses to let the file grow."""
    code = _FULL.format(
        paths=[str(Path(__file__).resolve().parents[3] / "support")], folder=str(tmp_path), policy=policy
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    if policy == "go_on":
        assert done.stdout.startswith("finished [5, 10, 12] [5, 12]")
        assert "no space for checkpoint" in done.stderr and "Going on" in done.stderr
        # Every 5 of 12: after step 10 the next one is that of the end.
        assert "the next try is in 2 steps" in done.stderr
    else:
        assert done.stdout.startswith("stopped [5, 10] [5] no space for checkpoint")
    assert read_snapshot(Checkpoints(tmp_path, 2).path_of(5)).step == 5
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*.part"))


class SmallDisk:
    """A disk of a few bytes, as its free space and the writer of checkpoints see it."""

    def __init__(self, folder: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        import safetensors.torch

        self.folder, self.size, self.honest = folder, size, True
        self._save = safetensors.torch.save_file
        self.fullest = 0
        monkeypatch.setattr(safetensors.torch, "save_file", self.save)
        monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda place: SimpleNamespace(free=self.free))

    @property
    def free(self) -> int:
        """Without honesty it tells of space that a quota does not give."""
        used = sum(file.stat().st_size for file in self.folder.iterdir() if file.is_file())
        return self.size - used if self.honest else 10**12

    def save(self, tensors: Any, path: str, metadata: Any) -> None:
        self._save(tensors, path, metadata)
        used = sum(file.stat().st_size for file in self.folder.iterdir() if file.is_file())
        self.fullest = max(self.fullest, used)
        if used > self.size:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("honest", [True, False])
def test_checkpoints_make_room_before_they_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, honest: bool
) -> None:
    monkeypatch.setattr(checkpoint, "_FACTS_BYTES", 0)
    checkpoints, snapshot = Checkpoints(tmp_path, 2), fresh().snapshot()
    written = checkpoints.write(replace(snapshot, step=1))
    one = written.stat().st_size
    disk = SmallDisk(tmp_path, int(2.5 * one), monkeypatch)
    disk.honest = honest
    # Two have room. The third has once the oldest, which would go after it, has gone before it.
    for step in (2, 3, 4):
        checkpoints.write(replace(snapshot, step=step))
        assert checkpoints.steps() == [step - 1, step]
        assert read_snapshot(checkpoints.path_of(step)).step == step
    told = [line for line in caplog.messages if "the disk is full" in line]
    assert len(told) == 2 and "step 1" in told[0] and "step_000000003" in told[0]
    assert (disk.fullest <= disk.size) == honest


def test_room_is_made_of_neither_the_newest_nor_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints, snapshot = Checkpoints(tmp_path, 1), fresh().snapshot()
    one = checkpoints.write(replace(snapshot, step=1), 0.9).stat().st_size
    checkpoints.write(replace(snapshot, step=2), 0.1)
    SmallDisk(tmp_path, int(2.5 * one), monkeypatch)
    with pytest.raises(CheckpointError, match="no space for checkpoint"):
        checkpoints.write(replace(snapshot, step=3), 0.5)
    assert checkpoints.steps() == [1, 2] and checkpoints.best() == (1, 0.9)
    assert not list(tmp_path.glob(".*.part"))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}


# Resumption.


def test_a_run_cut_anywhere_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = fresh()
    TrainingLoop(whole, components(tmp_path / "whole", ORDER, whole)).run()
    cut = fresh(replace(LONG, steps=40))
    source = feed(ORDER)
    for _ in range(17):
        cut.step(next(source))
    Checkpoints(tmp_path / "cut", 2).write(cut.snapshot())
    later = resumed(tmp_path / "cut")
    assert later.step_count == 17
    TrainingLoop(later, components(tmp_path / "cut", ORDER, later)).run()
    assert same(whole.snapshot(), later.snapshot())
    changed = resumed(tmp_path / "cut")
    changed.module.head[-1].bias.data[0] += 1e-6  # type: ignore[index, union-attr]
    assert not same(whole.snapshot(), changed.snapshot()), "the comparison sees the smallest change"


def test_a_scaler_goes_on(tmp_path: Path) -> None:
    settings = replace(LONG, precision="float16")
    whole = fresh(settings)
    source = feed(ORDER)
    for number in range(20):
        if number == 9:
            Checkpoints(tmp_path, 2).write(whole.snapshot())
        whole.step(next(source))
    later = resumed(tmp_path, settings)
    source = feed(ORDER, start=later.batches)
    for _ in range(11):
        later.step(next(source))
    assert whole.snapshot().scaler and same(whole.snapshot(), later.snapshot())


_KILLED = """
import sys, time
sys.path[:0] = {paths!r}
from pathlib import Path
from dataclasses import replace
from tiny_runs import LONG, ORDER, components, resumed
from perception_contrast_training.engine.training_loop import TrainingLoop
from perception_contrast_training.config.run_settings import CheckpointSettings
folder = Path({folder!r})
trainer = resumed(folder)
found = replace(components(folder, ORDER, trainer), settings=CheckpointSettings(every=3))
def slow(source):
    for batch in source:
        time.sleep(0.01)
        yield batch
TrainingLoop(trainer, replace(found, feed=slow(found.feed))).run()
"""


def killed_until_done(folder: Path, chance: random.Random, kills: int) -> int:
    """Kills the run with signal 9 at a random step, ``kills`` times, then lets it end. Gives the kills."""
    code = _KILLED.format(paths=[str(Path(__file__).resolve().parents[3] / "support")], folder=str(folder))
    log, done = folder / "log.jsonl", 0
    for number in range(kills + 1):
        process = subprocess.Popen([sys.executable, "-c", code], env=_environment())
        lines = _count(log) + chance.randint(1, 5)
        while number < kills and process.poll() is None and not 0 < lines <= _count(log):
            time.sleep(0.002)
        if number < kills and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            done += 1
        process.wait(120)
        if process.returncode == 0:
            break
    assert process.returncode == 0
    return done


def _count(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.is_file() else 0


def _equals_never_killed(folder: Path, kills: int, seed: int) -> None:
    done = killed_until_done(folder, random.Random(seed), kills)
    assert done >= min(kills, 2)
    whole, threads = fresh(), torch.get_num_threads()
    source = feed(ORDER)
    # As many threads as the runs that were killed: sums are added in another order by more.
    torch.set_num_threads(1)
    try:
        for _ in range(40):
            whole.step(next(source))
    finally:
        torch.set_num_threads(threads)
    assert same(whole.snapshot(), read_snapshot(Checkpoints(folder, 2).path_of(40)))


@pytest.mark.slow
def test_killed_and_resumed_equals_never_killed(tmp_path: Path) -> None:
    _equals_never_killed(tmp_path, 2, seed=1)


@pytest.mark.slow
@pytest.mark.skipif(
    os.environ.get("PERCEPTION_CONTRAST_TEST_LONG") != "1", reason="set PERCEPTION_CONTRAST_TEST_LONG=1"
)
def test_killed_ten_times(tmp_path: Path) -> None:
    _equals_never_killed(tmp_path, 10, seed=2)
