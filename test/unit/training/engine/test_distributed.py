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
from methods_process import NAMES, trained
from small_methods import largest_difference

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
        bound = 1e-8 if "dino" in name else 1e-9
        assert gradients < bound and after < bound, (gradients, after)


def test_the_first_process_names_what_the_others_could_not_read(apart: Path) -> None:
    """Each once, with bytes that are not UTF-8; a process without any takes part."""
    for rank in range(2):
        lines = (apart / f"lines.{rank}").read_bytes().split(b"\n")
        assert lines == [b"\xe4.png: damaged", b"b.png: damaged", b"c.png: damaged"]
