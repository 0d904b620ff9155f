"""What happened to a run beside its figures: begun, alarms, how it ended."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import ORDER, QUICK, components, feed, fresh

from perception_contrast.core.process.processor_time import process_start
from perception_contrast_training.config.run_settings import CheckpointSettings
from perception_contrast_training.engine.run_events import RunEvents
from perception_contrast_training.engine.trainer import DivergedError, Step
from perception_contrast_training.engine.training_loop import CollapseError, TrainingLoop
from perception_contrast_training.engine.training_run import RunOutput, run_training
from perception_contrast_training.monitors.collapse import Alarm


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def output(folder: Path) -> RunOutput:
    return RunOutput(folder, {"method": "tiny"}, CheckpointSettings(every=5))


def test_a_run_tells_its_process_and_its_end(tmp_path: Path) -> None:
    run_training(fresh(QUICK), output(tmp_path), lambda start: feed(ORDER, start=start))
    begun, ended = events(tmp_path)
    assert begun["event"] == "started" and (begun["step"], begun["steps"]) == (0, 12)
    assert (begun["pid"], begun["process_start"]) == (os.getpid(), process_start(os.getpid()))
    assert (ended["event"], ended["step"]) == ("finished", 12)


def test_a_run_that_breaks_says_why(tmp_path: Path) -> None:
    wild = replace(QUICK, learning_rate=float("inf"), most_skipped=2)
    with pytest.raises(DivergedError):
        run_training(fresh(wild), output(tmp_path), lambda start: feed(ORDER, start=start))
    last = events(tmp_path)[-1]
    assert last["event"] == "failed" and "skipped" in last["text"]


class Alarmed:
    """A watcher that finds something at the third step."""

    def __init__(self, alarms: str) -> None:
        self.settings: Any = type("Settings", (), {"alarms": alarms})()

    def look(self, step: Step) -> tuple[dict[str, float], list[Alarm]]:
        return {}, [Alarm("lines", "this is collapsing")] if step.step == 3 else []


@pytest.mark.parametrize("kind", ["stop", "warn"])
def test_alarms_are_noted_with_their_reason(tmp_path: Path, kind: str) -> None:
    trainer = fresh(QUICK)
    parts = components(tmp_path, ORDER, trainer, watcher=Alarmed(kind), events=RunEvents(tmp_path))
    if kind == "stop":
        with pytest.raises(CollapseError):
            TrainingLoop(trainer, parts).run()
    else:
        TrainingLoop(trainer, parts).run()
    (alarm,) = events(tmp_path)
    assert (alarm["event"], alarm["step"], alarm["kind"]) == ("alarm", 3, "lines")
    assert alarm["text"] == "this is collapsing"


def test_notes_that_cannot_be_written_end_no_run(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").mkdir()
    RunEvents(tmp_path).note("alarm", 1)
