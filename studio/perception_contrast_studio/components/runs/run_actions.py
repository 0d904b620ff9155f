"""Resume, export and stop a run: buttons that call the package's commands, which can be copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nicegui import run as threads
from nicegui import ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.shared.command_runner import (
    Command,
    command_line,
    command_runner,
    stop_process,
)
from perception_contrast_studio.components.runs.training_run import ACTIVE, RunStatus, TrainingRun
from perception_contrast_studio.server.studio_page import Visit

EXPORTED, FIGURES = "exported", "figures.json"


def resume_arguments(run: TrainingRun, steps: int = 0) -> list[str]:
    """Of the command that goes on with a run. steps: of the whole run, 0 for the recipe's."""
    return ["train", "resume", str(run.folder), *(["--steps", str(steps)] if steps else [])]


def export_arguments(run: TrainingRun, to: Path, *, replace: bool, accept_regression: bool) -> list[str]:
    """Of the command that exports a run's encoder."""
    flags = [("--replace", replace), ("--accept-regression", accept_regression)]
    return ["train", "export", str(run.folder), "--to", str(to), *(name for name, on in flags if on)]


class RunActions:
    """Buttons below a run's state, and the output of the command that they started.

    Args:
        visit: Whose rights decide.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._runner = command_runner(visit.studio)
        self._run: TrainingRun | None = None
        self._status: RunStatus | None = None
        with ui.card().classes("full-width q-pa-md"):
            with ui.row().classes("gap-sm items-center"):
                self._resume = self._button("Resume", "play_arrow", self._ask_resume)
                self._stop = self._button("Stop and save", "stop", self._ask_stop)
                self._export = self._button("Export", "ios_share", self._ask_export)
                ui.label("Each button calls a command, which you can also run in a terminal.").classes(
                    "text-caption"
                )
            self._line = ui.label().classes("run-command studio-wrap")
            self._output = ui.log(max_lines=400).classes("full-width").style("height: 170px")
            self._output.props('aria-label="output of the command"')
        self._shown = ("", "")
        self._show_output(None, "")

    def _button(self, text: str, icon: str, ask: Callable[[], None]) -> ui.button:
        return ui.button(text, icon=icon, on_click=self._visit.changes(ask)).props("outline no-caps")

    async def show(self, run: TrainingRun) -> None:
        """The buttons that fit the run's state, and what its command says."""
        self._run, self._status = run, run.status()
        command = self._runner.of(str(run.folder))
        busy = command is not None and command.code is None
        active = self._status.state in ACTIVE
        self._resume.set_enabled(not (active or busy) and run.checkpoints() > 0)
        self._stop.set_enabled((active and self._status.pid > 0) or busy)
        self._export.set_enabled(not busy and run.checkpoints() > 0)
        tail = "" if command is None else await threads.io_bound(command.tail)
        self._show_output(command, tail or "")

    def _show_output(self, command: Command | None, tail: str) -> None:
        ended = "" if command is None or command.code is None else f"\n[ended with code {command.code}]"
        shown = ("" if command is None else command.line, tail + ended)
        self._line.set_visibility(command is not None)
        self._output.set_visibility(command is not None)
        if shown == self._shown:
            return
        self._shown = shown
        self._line.text = f"$ {shown[0]}"
        self._output.clear()
        self._output.push(shown[1])

    def _ask_resume(self) -> None:
        run, status = self._run, self._status
        if run is None or status is None:
            return
        finished = status.state == "finished"

        def fields() -> Callable[[], Sequence[str]]:
            steps = ui.number(
                "Steps of the whole run", value=2 * status.steps if finished else status.steps,
                min=run.log.step + 1 if finished else 1, precision=0,
            ).classes("full-width")  # fmt: skip
            return lambda: resume_arguments(run, _changed(steps.value, recipe_steps(run)))

        text = "The run goes on from its last checkpoint, with the same random numbers as if it had never "
        self._confirm("Resume the run?", text + "stopped. It goes on when the studio is closed.", fields)

    def _ask_export(self) -> None:
        run = self._run
        if run is None:
            return

        def fields() -> Callable[[], Sequence[str]]:
            to = ui.input("Folder of the export", value=str(run.folder / EXPORTED)).classes("full-width")
            replace = ui.checkbox("Replace an older export")
            accept = ui.checkbox("Export even if the guard finds it worse than before")

            def arguments() -> Sequence[str]:
                target = self._visit.studio.folders.checked(Path(to.value.strip()).expanduser())
                # --replace deletes what is there.
                if target.exists() and not (target / FIGURES).is_file():
                    raise PerceptionError(f"'{target}' is there and is no older export; choose a new folder")
                return export_arguments(
                    run, target, replace=bool(replace.value), accept_regression=bool(accept.value)
                )

            return arguments

        text = "The best checkpoint becomes a folder that nodes serve, after the guard has compared it with "
        self._confirm("Export the encoder?", text + "what the run started from.", fields)

    def _confirm(self, title: str, text: str, fields: Callable[[], Callable[[], Sequence[str]]]) -> None:
        """A dialog with the command as it will be called."""
        run = self._run
        assert run is not None
        with ui.dialog() as dialog, ui.card().style("width: 34rem; max-width: 95vw"):
            ui.label(title).classes("text-h6").props("role=heading aria-level=2")
            ui.label(text)
            arguments = fields()
            shown = ui.label().classes("run-command studio-wrap")

            def tell() -> None:
                try:
                    shown.text = f"$ {command_line(arguments())}"
                except (PerceptionError, ValueError) as error:
                    shown.text = str(error)

            def copy() -> None:
                ui.clipboard.write(shown.text.removeprefix("$ "))
                ui.notify("copied")

            def start() -> None:
                try:
                    self._runner.start(str(run.folder), arguments())
                except (PerceptionError, ValueError) as error:
                    ui.notify(str(error), type="warning", multi_line=True)
                    return
                dialog.close()

            tell()
            ui.timer(0.5, tell)
            with ui.row().classes("full-width justify-end gap-sm"):
                ui.button("Copy the command", icon="content_copy", on_click=copy).props("flat no-caps")
                ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
                ui.button("Start", on_click=self._visit.changes(start)).props("no-caps")
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _ask_stop(self) -> None:
        run, status = self._run, self._status
        if run is None or status is None:
            return
        command = self._runner.of(str(run.folder))
        own = command if command is not None and command.code is None else None

        def stop() -> None:
            try:
                if own is not None:
                    own.interrupt()
                else:
                    stop_process(run.status().pid)
            except PerceptionError as error:
                ui.notify(str(error), type="warning")
            dialog.close()

        line = "Ctrl-C in its terminal" if own is not None else f"kill -TERM {status.pid}"
        with ui.dialog() as dialog, ui.card().style("width: 30rem; max-width: 95vw"):
            ui.label("Stop the run?").classes("text-h6").props("role=heading aria-level=2")
            ui.label(
                "It ends after the step that it computes and saves a checkpoint, from which it can go on."
            )
            ui.label(f"The same as: {line}").classes("run-command studio-wrap")
            with ui.row().classes("full-width justify-end gap-sm"):
                ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
                ui.button("Stop", color="negative", on_click=self._visit.changes(stop)).props("no-caps")
        dialog.on("hide", dialog.delete)
        dialog.open()


def recipe_steps(run: TrainingRun) -> int:
    """What the command takes without --steps: a run that was made longer once has them in no recipe."""
    optimisation = run.recipe.get("optimisation")
    steps = optimisation.get("steps") if isinstance(optimisation, dict) else None
    return steps if isinstance(steps, int) else 0


def _changed(value: Any, usual: int) -> int:
    """Steps to name, 0 for those of the recipe."""
    steps = int(value or 0)
    return 0 if steps == usual else steps


CSS = """
.run-command { font-family: monospace; background: rgba(128,128,128,.15); padding: 6px 10px;
  border-radius: 6px; width: 100%; }
"""
