"""Where the figures of a run are written: a line of JSON a step, TensorBoard, and the terminal."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from perception_contrast.core.cache import atomic_write

logger = logging.getLogger(__name__)

LOG = "log.jsonl"
BATCHES = "batches"  # figure: batches taken so far, skipped ones too
LINE_SECONDS = 30.0  # between two lines of a run without a terminal


class Journal(Protocol):
    def note(self, step: int, figures: Mapping[str, float]) -> None:
        """Figures of a step by name."""

    def close(self) -> None: ...


class JsonLines:
    """``log.jsonl``: an object a batch, with the steps that are done after it; a skipped batch is no step.

    What a run that was cut off wrote beyond its last checkpoint is taken back. A figure that is no finite
    number is null.

    Args:
        path: The file.
        start: Steps that are done; batches: batches that were taken until then.
    """

    def __init__(self, path: Path, start: int = 0, batches: int = 0) -> None:
        kept = [line for line in _lines(path) if _is_before(line, start, batches)]
        atomic_write(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._file = path.open("a", encoding="utf-8")

    def note(self, step: int, figures: Mapping[str, float]) -> None:
        finite = {name: value if math.isfinite(value) else None for name, value in figures.items()}
        try:
            self._file.write(json.dumps({"step": step, **finite}) + "\n")
            self._file.flush()
        except OSError as error:  # a full disk must not end what only the log is about
            logger.warning("the log cannot be written: %s", error)

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            logger.warning("the log cannot be written: %s", error)


def _is_before(line: Mapping[str, Any], start: int, batches: int) -> bool:
    """Logs of older versions count steps alone."""
    return bool(line[BATCHES] <= batches if BATCHES in line else line["step"] <= start)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's log, oldest first; a last line that was cut off is left out."""
    return list(_lines(path))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            read = json.loads(line)
        except ValueError:
            continue
        if isinstance(read, dict) and isinstance(read.get("step"), int):
            yield read


class TensorBoard:
    """Event files in ``folder``. Raises ModuleNotFoundError where tensorboard is not installed."""

    def __init__(self, folder: Path, start: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=start + 1 if start else None)

    def note(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class Bar:
    """Beside a run on a terminal: steps, rate, time left, losses."""

    def __init__(self, progress: Any, task: Any) -> None:
        self._progress, self._task = progress, task

    def note(self, step: int, figures: Mapping[str, float]) -> None:
        losses = {
            n.removeprefix("loss/"): v for n, v in figures.items() if n == "loss" or n.startswith("loss/")
        }
        text = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
        rate = figures.get("images per second")
        speed = "" if rate is None else f"{rate:.0f} images/s"
        self._progress.update(self._task, completed=step, losses=text, speed=speed)

    def close(self) -> None:
        self._progress.refresh()


class LogLines:
    """Beside a run without a terminal: a line for people at the first step, every ``seconds`` and at the end.

    clock: seconds that only grow.
    """

    def __init__(
        self, steps: int, seconds: float = LINE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._steps, self._seconds, self._clock = steps, seconds, clock
        self._told = -math.inf

    def note(self, step: int, figures: Mapping[str, float]) -> None:
        now = self._clock()
        if now - self._told < self._seconds and step != self._steps:
            return
        self._told = now
        losses = [f"{n} {v:.3f}" for n, v in figures.items() if n == "loss" or n.startswith("loss/")]
        logger.info("step %d of %d: %s", step, self._steps, " ".join(losses))

    def close(self) -> None: ...


@contextmanager
def progress_journal(steps: int, done: int, *, shown: bool = True) -> Iterator[Journal]:
    """What people see of a run: a bar on standard error, log lines where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield LogLines(steps)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"), TimeRemainingColumn(), TextColumn("{task.fields[losses]}"),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=steps, completed=done, losses="", speed="")
        yield Bar(progress, task)


def journals(folder: Path, start: int, batches: int = 0, *, tensorboard: bool) -> list[Journal]:
    """Those of a run's folder. start, batches: the step and the batch that it goes on after."""
    found: list[Journal] = [JsonLines(folder / LOG, start, batches)]
    if tensorboard:
        try:
            found.append(TensorBoard(folder / "tensorboard", start))
        except ModuleNotFoundError:
            logger.warning(
                "no TensorBoard files: install `tensorboard`, or leave them out with --set tensorboard=false"
            )
    return found
