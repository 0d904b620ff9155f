"""Two processes over gloo give the values and gradients of one, for all that is compared across them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from methods_process import NAMES, ROWS, STEPPED, batch_of, method_of, stepped, trained
from small_methods import largest_difference

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.config.run_settings import Optimisation
from perception_contrast_training.engine.distributed import Processes
from perception_contrast_training.engine.sharding import shard
from perception_contrast_training.engine.trainer import Trainer

TEST = Path(__file__).resolve().parents[3] / "support"


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where two processes have written what they got."""
    folder = tmp_path_factory.mktemp("processes")
    store = f"file://{folder}/store"
    paths = [str(TEST), str(TEST.parent), str(TEST.parent / "training"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, str(TEST / "methods_process.py"), ",".join(NAMES)]
    running = [
        subprocess.Popen(
            [*arguments, str(rank), "2", store, str(folder)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for process in running:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
        yield folder
    finally:
        for process in running:
            process.kill()


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_are_one(name: str, apart: Path, record_property: Any) -> None:
    alone = trained(name)
    for rank in range(2):
        found = torch.load(apart / f"{name}.{rank}.pt", weights_only=True)
        # A pooled loss differs from a mean of two only by rounding.
        assert float(found["loss"]) == pytest.approx(float(alone["loss"]), abs=1e-9)
        gradients = largest_difference(found["gradients"], alone["gradients"])
        # Running statistics of batch norm and all weights, teachers and centres after the step.
        state = {k: v.double() for k, v in alone["state"].items()}
        after = largest_difference({k: v.double() for k, v in found["state"].items()}, state)
        record_property("gradients, largest difference", gradients)
        # Positions of small crops are resampled in float32, for all crops of a process at once.
        bound = 1e-6 if "swav" in name else 1e-8 if "dino" in name else 1e-9
        assert gradients < bound and after < bound, (gradients, after)


@pytest.mark.parametrize("name", STEPPED)
def test_steps_that_average_during_the_backward_pass_are_those_of_one_process(name: str, apart: Path) -> None:
    """By DDP's hooks, with micro-batches and unused tokens; batch norm and cached gradients behind it."""
    alone = stepped(name)
    bound = 1e-8 if "dino" in name else 1e-9
    for rank in range(2):
        during, behind = (
            torch.load(apart / f"stepped-{name}-{way}.{rank}.pt", weights_only=True)
            for way in ("auto", "never")
        )
        assert during["during"] == (name in ("dino", "dinov2")) and not behind["during"]
        assert torch.equal(during["loss"], behind["loss"])
        for key, value in during["state"].items():
            assert torch.equal(value, behind["state"][key]), key
        torch.testing.assert_close(during["loss"], alone["loss"], rtol=0, atol=bound)
        found = {key: value.double() for key, value in during["state"].items()}
        assert largest_difference(found, {k: v.double() for k, v in alone["state"].items()}) < bound


def test_a_vit_in_shards_takes_the_steps_of_a_whole_one(apart: Path) -> None:
    """AdamW, clipping, teacher and average; a checkpoint holds whole tensors, from which a run goes on."""
    settings = Optimisation(
        steps=3, batch=ROWS, learning_rate=0.01, scaling="fixed", warm_up=1, clip=1.0, average=0.5
    )
    alone = Trainer(method_of("dino"), settings, epoch_steps=2)
    losses = [alone.step(batch_of("dino", slice(None))).figures["loss"] for _ in range(3)]
    expected = alone.snapshot()
    for rank in range(2):
        found = torch.load(apart / f"shards.{rank}.pt", weights_only=True)
        assert found["own share"] == 0.5
        assert found["loss"].tolist() == pytest.approx(losses, abs=1e-7)
        for part, whole in (("state", expected.method), ("average", expected.average)):
            names = {name: value.double() for name, value in found[part].items()}
            assert largest_difference(names, {n: v.double() for n, v in whole.items()}) < 1e-6, part
        for name, value in found["state"].items():
            assert torch.equal(found["resumed"][name], value), name


def test_what_cannot_be_in_shards_is_refused() -> None:
    two = Processes(0, 2)
    module = torch.nn.Linear(2, 2)
    assert not shard(module, Optimisation(shard="always"), Processes())
    assert not shard(module, Optimisation(), two)
    with pytest.raises(RecipeError, match=r"optimisation.shard.*has none; use never"):
        shard(module, Optimisation(shard="always"), two)
    with pytest.raises(RecipeError, match="float32 or bfloat16"):
        shard(method_of("dino"), Optimisation(shard="always", precision="float16"), two)


def test_the_first_process_names_what_the_others_could_not_read(apart: Path) -> None:
    """Each once, with bytes that are not UTF-8; a process without any takes part."""
    for rank in range(2):
        lines = (apart / f"lines.{rank}").read_bytes().split(b"\n")
        assert lines == [b"\xe4.png: damaged", b"b.png: damaged", b"c.png: damaged"]
