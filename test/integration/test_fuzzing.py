"""A run of the fuzzer over all targets, which takes some two minutes."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing.registry import TARGETS, have_ros
from fuzzing.run import Plan, Run
from fuzzing.tally import table

INPUTS = 650
"""Of each target."""


@pytest.mark.slow
def test_the_same_ten_thousand_inputs_find_nothing(tmp_path: Path) -> None:
    entries = {name: one for name, one in TARGETS.items() if have_ros() or not one.ros}
    run = Run(Plan(entries, inputs=INPUTS, seed=1, folder=tmp_path))
    run.go()

    print(table(run.tallies))
    found = [path.read_text() for path in tmp_path.glob("*/*.txt")]
    assert not found, "\n".join(found)
    assert all(tally.inputs >= INPUTS for tally in run.tallies.values()), table(run.tallies)
