"""What state a run is in, by what it wrote; which runs there are, and in what recipes differ."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.runs.run_actions import recipe_steps, resume_arguments
from perception_contrast_studio.components.runs.run_charts import PANELS, look, panel_lines
from perception_contrast_studio.components.runs.training_run import (
    TrainingRun,
    differing,
    duration,
    find_runs,
    run_name,
)
from perception_contrast_studio.components.shared.command_runner import (
    CommandRunner,
    command_line,
    stop_process,
)
from perception_contrast_training.engine.journal import JsonLines
from perception_contrast_training.engine.run_events import RunEvents


def made_run(folder: Path, steps: int = 10, lines: int = 4, **recipe: object) -> TrainingRun:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"method": "simclr", "optimisation": {"steps": steps, "batch": 8}, **recipe}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content))
    writer = JsonLines(folder / "log.jsonl")
    for step in range(1, lines + 1):
        writer.note(
            step, {"loss": 1.0, "loss/nt_xent": 1.0, "images per second": 4.0, "batches": float(step)}
        )
    writer.close()
    run = TrainingRun(folder, folder.name)
    run.poll()
    return run


def test_states_follow_the_events(tmp_path: Path) -> None:
    run, events = made_run(tmp_path), RunEvents(tmp_path)
    events.note_begin(0, 10, resumed=False)
    run.poll()
    status = run.status()
    assert (status.state, status.pid, status.steps) == ("running", os.getpid(), 10)
    assert status.seconds_left == pytest.approx(6 * 8 / 4.0)
    os.utime(tmp_path / "log.jsonl", (1.0, 1.0))
    run.log.poll()
    assert run.status().state == "stalled"
    events.note("failed", 4, text="40 batches on end were skipped")
    run.poll()
    assert (run.status().state, run.status().reason) == ("failed", "40 batches on end were skipped")
    events.note_begin(4, 12, resumed=True)
    events.note("interrupted", 7)
    run.poll()
    assert run.status().state == "interrupted" and run.status().steps == 12
    events.note("finished", 12)
    run.poll()
    assert run.status().state == "finished"


def test_a_run_whose_process_was_killed_is_no_running_one(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path;"
        "from perception_contrast_training.engine.run_events import RunEvents;"
        "RunEvents(Path(sys.argv[1])).note_begin(0, 10, resumed=False); os._exit(9)"
    )
    run = made_run(tmp_path)
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    run.poll()
    assert run.status().state == "killed" and run.status().pid == 0


def test_another_process_with_the_id_of_one_that_is_gone_is_not_the_run(tmp_path: Path) -> None:
    run = made_run(tmp_path)
    (tmp_path / "events.jsonl").write_text(
        '{"event": "started", "time": 1, "step": 0, "steps": 10, '
        f'"host": "{os.uname().nodename}", "pid": {os.getpid()}, "process_start": 1}}\n'
    )
    run.poll()
    assert run.status().state == "killed" and run.status().pid == 0


def test_alarms_of_steps_that_a_resume_took_back_are_gone(tmp_path: Path) -> None:
    run, events = made_run(tmp_path), RunEvents(tmp_path)
    events.note_begin(0, 10, resumed=False)
    events.note("alarm", 2, kind="lines", text="early")
    events.note("alarm", 8, kind="point", text="late")
    run.poll()
    assert [one.text for one in run.alarms] == ["early", "late"]
    events.note_begin(5, 10, resumed=True)
    run.poll()
    assert [one.text for one in run.alarms] == ["early"]
    events.note_begin(0, 10, resumed=False)
    run.poll()
    assert run.alarms == []


def test_broken_files_are_no_run_that_breaks_the_page(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("a: [")
    (tmp_path / "log.jsonl").write_bytes(b"\xff\x00{}\n")
    (tmp_path / "events.jsonl").write_text('{"event": "started"}\n17\nno\n')
    run = TrainingRun(tmp_path, "x")
    run.poll()
    assert run.recipe == {} and run.events == [] and run.status().state == "new"


def test_runs_are_found_below_the_folders_and_not_through_links(tmp_path: Path) -> None:
    given, outside = tmp_path / "runs", tmp_path / "outside"
    made_run(given / "a"), made_run(given / "deep" / "b"), made_run(outside / "c")
    (given / "link").symlink_to(outside)
    (given / ".hidden").mkdir()
    assert set(find_runs([given, given / "a"])) == {given / "a", given / "deep" / "b"}
    assert run_name(given / "deep" / "b", [given]) == "deep/b" and run_name(given, [given]) == "runs"


def test_recipes_differ_in_what_differs() -> None:
    one = {"method": "simclr", "optimisation": {"batch": 8, "steps": 5}}
    other = {"method": "dino", "optimisation": {"batch": 8, "steps": 5, "clip": 3.0}}
    assert differing([one, other]) == {"method": ["simclr", "dino"], "optimisation.clip": [None, 3.0]}


def test_curves_of_several_runs_lie_over_each_other_and_can_be_told_apart(tmp_path: Path) -> None:
    runs = [made_run(tmp_path / name) for name in "ab"]
    loss = next(panel for panel in PANELS if panel.title == "Loss")
    assert [line.name for line in panel_lines(loss, runs)] == ["a: loss", "b: loss"]
    assert [line.name for line in panel_lines(loss, runs[:1])] == ["loss"]
    assert len({look(number) for number in range(21)}) == 21


def test_a_command_outlives_the_studio_and_runs_once_at_a_time(tmp_path: Path) -> None:
    runner = CommandRunner(tmp_path / "outputs")
    assert command_line(["train", "resume", "/a b"]) == "perception-contrast train resume '/a b'"
    command = runner.start("run", ["vocab", "show", "no; echo injected"])
    # A session of its own: Ctrl-C in the studio's terminal does not reach it.
    assert os.getsid(command.process.pid) == command.process.pid != os.getsid(0)
    with pytest.raises(PerceptionError, match="still runs"):
        runner.start("run", ["train", "recipes"])
    assert command.process.wait(300) != 0
    assert "no; echo injected" in command.tail() and runner.of("run") is command


@pytest.mark.parametrize("pid", [0, -1, 1])
def test_groups_of_processes_are_never_stopped(pid: int) -> None:
    with pytest.raises(PerceptionError, match="no process"):
        stop_process(pid)


def test_a_run_that_was_made_longer_is_resumed_to_its_new_length(tmp_path: Path) -> None:
    run = made_run(tmp_path, steps=10)
    RunEvents(tmp_path).note_begin(4, 20, resumed=True)
    run.poll()
    assert run.status().steps == 20 and recipe_steps(run) == 10
    assert resume_arguments(run, 20) == ["train", "resume", str(tmp_path), "--steps", "20"]


def test_durations_are_told_in_words() -> None:
    assert [duration(one) for one in (5, 125, 4000, 200_000)] == ["5 s", "2 min 5 s", "1 h 6 min", "2 d 7 h"]
