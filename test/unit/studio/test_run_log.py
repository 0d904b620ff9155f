"""The log of a run is followed while it grows, and stays small whatever its length."""

from __future__ import annotations

import json
from pathlib import Path

from perception_contrast_studio.components.runs.run_log import BUCKETS, Curve, RunLog
from perception_contrast_training.engine.journal import JsonLines


def test_a_long_curve_stays_small_and_keeps_its_peaks_and_its_ends() -> None:
    curve = Curve()
    for step in range(1, 200_001):
        curve.add(step, 99.0 if step == 77_777 else -5.0 if step == 150_001 else 1.0)
    points = curve.points()
    assert len(points) <= 2 * BUCKETS
    assert (77_777, 99.0) in points and (150_001, -5.0) in points
    assert [step for step, _ in points] == sorted(step for step, _ in points)
    assert (curve.last, curve.last_step) == (1.0, 200_000)


def test_lines_are_followed_as_training_writes_them_and_half_a_line_waits(tmp_path: Path) -> None:
    log, writer = RunLog(tmp_path), JsonLines(tmp_path / "log.jsonl")
    assert not log.poll()
    writer.note(1, {"loss": 2.0, "batches": 1.0, "broken": float("nan")})
    assert log.poll() and log.curves["loss"].points() == [(1, 2.0)]
    assert "broken" not in log.curves and not log.poll()
    line = json.dumps({"step": 2, "loss": 1.5, "batches": 2.0})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write(line[:10])
        file.flush()
        log.poll()
        assert log.step == 1
        file.write(line[10:] + "\nno json\n[1]\n" + '{"step": "x"}\n')
    assert log.poll() and log.curves["loss"].points() == [(1, 2.0), (2, 1.5)] and log.lines == 2


def test_what_a_resume_takes_back_goes_from_the_curves(tmp_path: Path) -> None:
    writer = JsonLines(tmp_path / "log.jsonl")
    for step in range(1, 9):
        writer.note(step, {"loss": float(step), "batches": float(step)})
    writer.close()
    log = RunLog(tmp_path)
    log.poll()
    resumed = JsonLines(tmp_path / "log.jsonl", start=5, batches=5)
    resumed.note(6, {"loss": 60.0, "batches": 6.0})
    log.poll()
    assert log.curves["loss"].points() == [*((step, float(step)) for step in range(1, 6)), (6, 60.0)]
    (tmp_path / "log.jsonl").unlink()
    assert log.poll() and not log.curves and log.step == 0


def test_of_a_run_among_many_only_the_end_is_read(tmp_path: Path) -> None:
    lines = [json.dumps({"step": step, "loss": 1.0 / step, "filling": "x" * 100}) for step in range(1, 5001)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    tail = RunLog(tmp_path, tail=True)
    tail.poll()
    assert tail.step == 5000 and 0 < tail.lines < 1000


def test_a_large_log_is_read_a_piece_at_a_time(tmp_path: Path) -> None:
    lines = [json.dumps({"step": step, "loss": 1.0}) for step in range(1, 2001)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    log = RunLog(tmp_path)
    assert log.poll(most_bytes=1000) and log.behind > 0 and log.step < 100
    while log.behind:
        log.poll(most_bytes=20_000)
    assert log.lines == 2000
