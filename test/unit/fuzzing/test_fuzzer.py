"""The fuzzer finds what was planted, says which input it was, and finds the same again."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzing.__main__ import main
from fuzzing.findings import replayed
from fuzzing.registry import TARGETS, Entry
from fuzzing.run import Plan, Run
from fuzzing.supervisor import Finding, WorkerProcess
from fuzzing.tally import Tally, table


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    worker = WorkerProcess(hang_seconds=4.0)
    yield worker
    worker.close()


def _run(kind: str, folder: Path, inputs: int, seed: int = 3) -> Run:
    run = Run(Plan({kind: Entry(f"planted_faults:{kind}", "")}, inputs=inputs, seed=seed, folder=folder))
    run.go()
    return run


def _given(worker: WorkerProcess, kind: str, *inputs: bytes, **options: int) -> list[Finding]:
    given = [base64.b64encode(one).decode() for one in inputs]
    order = {"target": kind, "place": f"planted_faults:{kind}", "given": given, "minimise": False}
    return worker.run(order | options)[1]


def test_an_undocumented_error_is_kept_once_and_small_and_can_be_replayed(
    tmp_path: Path, worker: WorkerProcess
) -> None:
    run = _run("Refuses", tmp_path, 60)

    tally = run.tallies["Refuses"]
    assert tally.kinds["ValueError"] and tally.kinds["accepted"] and tally.kinds["KeyError"] > 1
    assert len(run.findings.files) == 1
    (path,) = run.findings.files.values()
    assert path.read_bytes() == b"BOOM"
    assert f"--replay {path}" in path.with_name(f"{path.name}.txt").read_text()
    _, again = replayed("Refuses", [path], worker, "planted_faults:Refuses")
    assert [one.kind for one in again] == ["KeyError"]


def test_the_same_seed_makes_the_same_inputs(tmp_path: Path) -> None:
    kinds = [_run("Refuses", tmp_path, 200, seed).tallies["Refuses"].kinds for seed in (5, 5, 6)]
    assert kinds[0] == kinds[1] != kinds[2]


@pytest.mark.parametrize("kind", ["crash", "hang"])
def test_the_input_of_a_crash_or_hang_is_told_and_the_run_goes_on(worker: WorkerProcess, kind: str) -> None:
    bad = f"{kind}: this one".encode()
    (finding,) = _given(worker, "Crashes", b"sound", bad, b"sound")
    assert (finding.kind, finding.data) == (kind, bad)
    assert "planted_faults.py" in finding.detail, "the stack says where it was"
    assert _given(worker, "Crashes", b"sound") == []


def test_an_input_that_takes_much_memory_is_told(worker: WorkerProcess) -> None:
    (finding,) = _given(worker, "Gorges", b"sound", b"bomb", b"sound", most_memory=200 << 20)
    assert (finding.kind, finding.data) == ("memory", b"bomb")
    (finding,) = _given(worker, "Gorges", b"sound", b"more", b"sound")
    assert (finding.kind, finding.data) == ("MemoryError", b"more")


def test_memory_that_is_kept_is_told(tmp_path: Path) -> None:
    run = _run("Leaks", tmp_path, 100)
    assert any("memory grew" in place for _, place in run.findings.files)
    assert not Tally(growth=[50 << 20] + [0] * 20, files=[9] * 21, left=[0] * 21).leaks()


def test_the_table_has_a_line_for_each_target_and_one_for_all() -> None:
    one = Tally(findings=1)
    one.kinds.update({"accepted": 3, "QueryError": 1000, "KeyError": 1})
    head, row, total = table({"vocabularies": one}).splitlines()
    assert head.split()[:5] == ["target", "inputs", "refused", "accepted", "findings"]
    assert row.split()[:5] == ["vocabularies", "1,004", "1,000", "3", "1"]
    assert total.split() == ["all", "1,004", "1,000", "3", "1"]


def test_targets_are_listed_and_unknown_ones_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == set(TARGETS)
    with pytest.raises(SystemExit, match="no target 'imagefiles'"):
        main(["--targets", "imagefiles"])


def test_every_target_gets_inputs_however_short_the_time(tmp_path: Path) -> None:
    targets = {f"kind {n}": Entry("planted_faults:Refuses", "") for n in range(3)}
    run = Run(Plan(targets, seconds=0.01, folder=tmp_path))
    run.go()
    assert all(tally.inputs > 0 for tally in run.tallies.values())
