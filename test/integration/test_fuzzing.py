"""A short run of the fuzzer over all targets."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing.registry import TARGETS, have_ros
from fuzzing.run import Plan, Run
from fuzzing.tally import table


@pytest.mark.slow
def test_two_minutes_find_nothing(tmp_path: Path) -> None:
    entries = {name: one for name, one in TARGETS.items() if have_ros() or not one.ros}
    run = Run(Plan(entries, seconds=120.0, seed=1, folder=tmp_path))
    run.go()

    print(table(run.tallies))
    found = [path.read_text() for path in tmp_path.glob("*/*.txt")]
    assert not found, "\n".join(found)
    assert all(tally.inputs > 10 for tally in run.tallies.values()), table(run.tallies)
