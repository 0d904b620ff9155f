"""A training run as a page shows it: recipe, log, events, and what state they say it is in. Reads only."""

from __future__ import annotations

import json
import os
import socket
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from perception_contrast.core.process.processor_time import process_start
from perception_contrast_studio.components.runs.run_events import (
    ENDS,
    RunEvent,
    alarms_in_force,
    read_events,
    since_begin,
)
from perception_contrast_studio.components.runs.run_log import LOG, RunLog

RECIPE = "recipe.yaml"
CHECKPOINTS = "checkpoints"
MOST_RECIPE_BYTES = 1 << 20
DEEPEST = 3
MOST_RUNS = 200
STALLED_SECONDS = 60.0
"""A running process that wrote nothing for longer, and for ten times its usual step, is called stalled."""

State = Literal["running", "stalled", "finished", "interrupted", "failed", "killed", "unknown", "new"]
ACTIVE: tuple[State, ...] = ("running", "stalled")


@dataclass(frozen=True)
class RunStatus:
    """What a run does.

    Attributes:
        state: One word.
        reason: A sentence for people.
        steps: Steps of the whole run, 0 where the recipe does not say.
        speed: Images a second of late, 0 where it is not known.
        seconds_left: Estimate, None where there is none.
        pid: Of the process that trains on this machine, 0 for none.
    """

    state: State
    reason: str
    steps: int = 0
    speed: float = 0.0
    seconds_left: float | None = None
    pid: int = 0


@dataclass
class TrainingRun:
    """A run's folder.

    Attributes:
        folder: Resolved.
        name: What people see: the path below the folder that the studio was given.
        tail: Whether only the newest figures are read.
        recipe: As it was written.
        log: Of figures.
        events: Oldest first.
    """

    folder: Path
    name: str
    tail: bool = False
    recipe: dict[str, Any] = field(default_factory=dict)
    log: RunLog = field(init=False)
    events: list[RunEvent] = field(default_factory=list)
    _seen: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        self.log = RunLog(self.folder, self.tail)

    def poll(self) -> bool:
        """Reads what is new. Returns whether anything is; blocks for the time of reading."""
        seen = (_changed(self.folder / RECIPE), _changed(self.folder / "events.jsonl"))
        fresh = seen != self._seen
        if fresh:
            self._seen = seen
            self.recipe, self.events = read_recipe(self.folder), read_events(self.folder)
        return self.log.poll() or fresh

    @property
    def method(self) -> str:
        """Such as simclr."""
        return str(self.recipe.get("method", "unknown method"))

    @property
    def alarms(self) -> list[RunEvent]:
        """Those that still hold."""
        return alarms_in_force(self.events)

    def status(self) -> RunStatus:
        """What the run does now."""
        session = since_begin(self.events)
        steps = self._steps(session)
        end = next((one for one in reversed(session) if one.event in ENDS), None)
        if end is not None:
            return self._ended(end, steps)
        begin = session[0] if session and "pid" in session[0].about else None
        if begin is None:
            return self._without_events(steps)
        here = begin.about.get("host") == socket.gethostname()
        pid = int(begin.about["pid"]) if here and is_process(begin.about) else 0
        if here and not pid:
            return RunStatus(
                "killed",
                f"Its process {begin.about['pid']} ended without saving, as when it is killed or the machine "
                "restarts. What is after the last checkpoint is computed again when you resume it.",
                steps,
            )
        return self._active(steps, pid)

    def _steps(self, session: list[RunEvent]) -> int:
        told = [one.about["steps"] for one in session if isinstance(one.about.get("steps"), int)]
        optimisation = self.recipe.get("optimisation")
        named = optimisation.get("steps", 0) if isinstance(optimisation, dict) else 0
        return int(told[-1] if told else named if isinstance(named, int) else 0)

    def _ended(self, end: RunEvent, steps: int) -> RunStatus:
        if end.event == "finished":
            return RunStatus("finished", f"All {end.step} steps are done.", steps)
        if end.event == "interrupted":
            return RunStatus("interrupted", f"It was stopped after step {end.step} and saved.", steps)
        return RunStatus("failed", end.text or "It ended with an error.", steps)

    def _without_events(self, steps: int) -> RunStatus:
        """Of a run of an older version, by its log alone."""
        if not self.log.lines:
            return RunStatus("new", "It has no figures yet.", steps)
        if steps and self.log.step >= steps:
            return RunStatus("finished", f"All {steps} steps are done.", steps)
        if self._idle() <= self._patience():
            return self._active(steps, 0)
        return RunStatus("unknown", f"Nothing was written for {duration(self._idle())}.", steps)

    def _active(self, steps: int, pid: int) -> RunStatus:
        speed = self.speed()
        left = self._seconds_left(steps, speed)
        if self.log.lines and self._idle() > self._patience():
            return RunStatus(
                "stalled",
                f"Its process is there, but nothing was written for {duration(self._idle())}. It may be "
                "measuring held-out images, waiting for data, or hang.",
                steps, speed, left, pid,
            )  # fmt: skip
        return RunStatus("running", "It is learning.", steps, speed, left, pid)

    def speed(self) -> float:
        """Images a second, the median of late."""
        curve = self.log.curves.get("images per second")
        recent = curve.recent(20) if curve is not None else []
        return statistics.median(recent) if recent else 0.0

    def _seconds_left(self, steps: int, speed: float) -> float | None:
        batch = self._batch()
        if not steps or not speed or not batch or self.log.step >= steps:
            return None
        return (steps - self.log.step) * batch / speed

    def _batch(self) -> int:
        optimisation = self.recipe.get("optimisation")
        batch = optimisation.get("batch", 0) if isinstance(optimisation, dict) else 0
        return batch if isinstance(batch, int) else 0

    def _idle(self) -> float:
        return max(0.0, time.time() - self.log.changed_at)

    def _patience(self) -> float:
        speed = self.speed()
        return max(STALLED_SECONDS, 10 * self._batch() / speed if speed else 0.0)

    def best(self) -> dict[str, Any]:
        """The step and the figure of the best checkpoint, empty where none was chosen."""
        try:
            read = json.loads((self.folder / CHECKPOINTS / "best.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return read if isinstance(read, dict) else {}

    def checkpoints(self) -> int:
        """How many there are."""
        return sum(1 for _ in (self.folder / CHECKPOINTS).glob("step_*.safetensors"))


def is_process(begin: dict[str, Any]) -> bool:
    """Whether the process of a "started" or "resumed" event still runs, and is not a later one of its id."""
    pid, began = begin.get("pid"), begin.get("process_start")
    if not isinstance(pid, int) or pid <= 1:
        return False
    if isinstance(began, int):
        return process_start(pid) == began
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def read_recipe(folder: Path) -> dict[str, Any]:
    """The recipe that a run wrote; empty where it is missing or broken."""
    try:
        with (folder / RECIPE).open("rb") as file:
            read = yaml.safe_load(file.read(MOST_RECIPE_BYTES))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def flat(mapping: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A recipe with dots between its levels, as ``--set`` takes it."""
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found


def differing(recipes: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    """Settings that are not the same in all recipes, with the value of each; None for a missing one."""
    rows = [flat(one) for one in recipes]
    names = dict.fromkeys(name for row in rows for name in row)
    table = {name: [row.get(name) for row in rows] for name in names}
    return {name: values for name, values in table.items() if any(value != values[0] for value in values)}


def find_runs(folders: Iterable[Path]) -> list[Path]:
    """Folders of runs that the given ones are or hold, at most three levels down, newest first."""
    found = dict.fromkeys(one for folder in folders for one in _runs_in(folder, DEEPEST))
    return sorted(found, key=lambda one: (-_changed(one / LOG), str(one)))[:MOST_RUNS]


def _runs_in(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / RECIPE).is_file() or (folder / LOG).is_file():
        yield folder
        return
    if not depth:
        return
    try:
        inside = sorted(one for one in folder.iterdir() if one.is_dir() and not one.is_symlink())
    except OSError:
        return
    for one in inside:
        if not one.name.startswith("."):
            yield from _runs_in(one, depth - 1)


def run_name(folder: Path, given: Iterable[Path]) -> str:
    """A short name: the path below the folder that was given."""
    for root in given:
        if folder.is_relative_to(root):
            below = folder.relative_to(root)
            return below.as_posix() if below.parts else folder.name
    return folder.name


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def duration(seconds: float) -> str:
    """Such as "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{whole // 60} min"
    days, hours = divmod(whole // 3600, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {whole % 3600 // 60} min"
