"""Before and after training on held-out images: the guard's verdict, pictures of features, worst cases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nicegui import run as threads
from nicegui import ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.runs.run_actions import FIGURES
from perception_contrast_studio.components.runs.training_run import TrainingRun
from perception_contrast_studio.server.studio_page import Visit
from perception_contrast_studio.workers.worker_pool import TaskCancelledError

TASK = "training.run_judging:judge_run"
MOST_EXPORTS = 5
KEPT = 4
Judgement = dict[str, Any]


def verdict_words(found: Judgement) -> tuple[str, str]:
    """A sentence, and the icon's colour."""
    share = f"{found['share']:.0%}"
    if found["worse"]:
        names = ", ".join(found["worse"])
        if found["adapts"]:
            return f"Worse than before in {names}: the guard refuses to export this encoder.", "negative"
        return f"After training it is worse than its random start in {names}.", "negative"
    if not found["judged"]:
        return "Nothing decides: the images have no labels, captions or times.", "warning"
    if not found["adapts"] and found["sentences"]:
        return "Not worse than its random start, as far as so few images can tell.", "warning"
    if not found["adapts"]:
        return (
            "Not worse than its random start. The guard has nothing to compare a run from scratch with.",
            "positive",
        )
    if found["sentences"]:
        return f"No figure fell by more than {share}, but the images are too few to be sure.", "warning"
    return f"No figure fell by more than {share} of what it was: it may be exported.", "positive"


def exported_verdicts(run: TrainingRun) -> list[tuple[str, dict[str, Any]]]:
    """What the guard said of exports in the run's folder: name of the folder and its figures."""
    found = []
    for path in sorted(run.folder.glob(f"*/{FIGURES}"))[:MOST_EXPORTS]:
        try:
            read = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(read, dict) and "space" in read:
            found.append((path.parent.name, read))
    return found


class RunJudgement:
    """A card that compares a run with its start on demand.

    Args:
        visit: Whose data it publishes.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._run: TrainingRun | None = None
        self._urls: list[str] = []
        self._work: asyncio.Task[None] | None = None
        self._shown: Any = None
        visit.on_leave(self._cancel)
        with ui.card().classes("full-width q-pa-md"):
            ui.label("Before and after").classes("text-h6").props("role=heading aria-level=2")
            ui.label(
                "The best checkpoint against what the run started from, on images that it did not learn "
                "from. This computes for a while, in a process of its own."
            ).classes("text-body2")
            with ui.row().classes("items-center gap-sm full-width"):
                self._button = ui.button("Compare now", icon="balance", on_click=self._start)
                self._button.props("outline no-caps")
                self._stop = ui.button("Cancel", on_click=self._cancel).props("flat no-caps")
                self._bar = ui.linear_progress(0.0, show_value=False).style("width: 12rem")
                self._bar.props('aria-label="progress of the comparison"')
                self._text = ui.label().props("role=status")
            self._exports = ui.column().classes("full-width")
            self._box = ui.column().classes("full-width")
        self._set_working(False)

    async def show(self, run: TrainingRun) -> None:
        """The run that is looked at, and what was found about it before."""
        if self._run is not None and self._run.folder != run.folder:
            self._cancel()
        self._run = run
        exports = await threads.io_bound(exported_verdicts, run)
        content = (run.folder, self._known().get(self._key()) is not None, exports)
        if content == self._shown:
            return
        self._shown = content
        self._exports.clear()
        with self._exports:
            for name, figures in exports or []:
                _show_export(name, figures)
        self._draw(self._known().get(self._key()))

    def _known(self) -> dict[tuple[Path, Any], Judgement]:
        """Shared by all visitors; the newest few."""
        found: dict[tuple[Path, Any], Judgement] = self._visit.studio.notes.setdefault("judgements", {})
        return found

    def _key(self) -> tuple[Path, Any]:
        assert self._run is not None
        best = self._run.best()
        return self._run.folder, best.get("step", self._run.log.step)

    def _start(self) -> None:
        if self._run is not None and self._work is None:
            self._work = asyncio.create_task(self._compare(self._run))

    def _cancel(self) -> None:
        if self._work is not None:
            self._work.cancel()

    def _set_working(self, working: bool) -> None:
        self._button.set_enabled(not working)
        for one in (self._stop, self._bar):
            one.set_visibility(working)

    def _progress(self, fraction: float, text: str) -> None:
        self._bar.value, self._text.text = fraction, text

    async def _compare(self, run: TrainingRun) -> None:
        self._set_working(True)
        self._progress(0.0, "starting")
        key = self._key()
        try:
            found = await self._visit.studio.workers.run(
                TASK, on_progress=self._progress, folder=str(run.folder)
            )
            known = self._known()
            known[key] = found
            while len(known) > KEPT:
                known.pop(next(iter(known)))
            self._text.text = ""
            self._draw(found)
        except (asyncio.CancelledError, TaskCancelledError):
            self._text.text = "cancelled"
        except PerceptionError as error:
            self._text.text = str(error)
        finally:
            self._work = None
            self._set_working(False)

    def _draw(self, found: Judgement | None) -> None:
        for url in self._urls:
            self._visit.studio.blobs.remove(url)
        self._urls.clear()
        self._box.clear()
        if found is None:
            return
        with self._box:
            words, colour = verdict_words(found)
            with ui.row().classes("items-center no-wrap gap-sm"):
                ui.icon("gavel", color=colour, size="md").props("aria-hidden=true")
                ui.label(f"Step {found['step']}: {words}").classes("text-subtitle1 studio-wrap")
            _verdict_table(found["headings"], found["rows"])
            for sentence in found["sentences"]:
                ui.label(sentence).classes("studio-wrap text-body2")
            self._draw_pictures(found["pictures"])
            self._draw_worst(found["worst"])

    def _draw_pictures(self, pictures: Sequence[dict[str, Any]]) -> None:
        if not pictures:
            return
        ui.label("Features as colours").classes("text-subtitle1").props("role=heading aria-level=3")
        ui.label(
            "The parts of an image that the encoder takes for alike have the same colour. Things should come "
            "out in one colour each; noise, or one colour for all, says that nothing is told apart."
        ).classes("text-body2")
        with ui.row().classes("gap-md"):
            for one in pictures:
                with ui.row().classes("gap-xs no-wrap"):
                    self._picture(one["image"], "image", one["name"])
                    self._picture(one["before"], "before", one["name"])
                    self._picture(one["after"], "after", one["name"])

    def _draw_worst(self, cases: Sequence[dict[str, Any]]) -> None:
        if not cases:
            return
        ui.label("Worst cases").classes("text-subtitle1").props("role=heading aria-level=3")
        ui.label(
            "Held-out images whose nearest neighbours are wrong. Right is an image of the same class, or "
            "near in time; it is framed in a solid line, a wrong one in a dashed line."
        ).classes("text-body2")
        for one in cases:
            with ui.row().classes("gap-md items-start full-width").style("row-gap: 4px"):
                with ui.column().classes("gap-none"):
                    self._picture(one["image"], "image", one["name"])
                for when in ("before", "after"):
                    with ui.column().classes("gap-none"):
                        right = f"{when}: {one[f'found_{when}']} of {one['of']} neighbours right"
                        ui.label(right).classes("text-caption")
                        with ui.row().classes("gap-xs no-wrap"):
                            for near in one[when]:
                                self._neighbour(near)

    def _picture(self, data: bytes | None, title: str, name: str) -> None:
        with ui.column().classes("gap-none items-center"):
            if data is None:
                ui.label("no parts").classes("text-caption")
            else:
                url = self._published(data)
                ui.element("img").props(f'src="{url}" width=112 height=112').props["alt"] = (
                    f"{title} of {name}"
                )
            ui.label(title).classes("text-caption")

    def _published(self, jpeg: bytes) -> str:
        self._urls.append(self._visit.publish(jpeg, "image/jpeg"))
        return self._urls[-1]

    def _neighbour(self, near: dict[str, Any]) -> None:
        url = self._published(near["image"])
        line = "3px solid #009e73" if near["right"] else "3px dashed #d55e00"
        picture = ui.element("img").props(f'src="{url}" width=84 height=84').style(f"border: {line}")
        picture.props["alt"] = f"{'right' if near['right'] else 'wrong'} neighbour {near['name']}"


def _verdict_table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with (
        ui.element("div").classes("full-width").style("overflow-x: auto"),
        ui.element("table").classes("run-values"),
    ):
        with ui.element("tr"):
            for heading in headings:
                with ui.element("th").props("scope=col"):
                    ui.label(str(heading))
        for row in rows:
            with ui.element("tr"):
                for value in row:
                    with ui.element("td"):
                        ui.label(_shown(value))


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _show_export(name: str, figures: dict[str, Any]) -> None:
    guard = figures.get("guard")
    if not isinstance(guard, dict):
        words, colour = "the guard had nothing to compare it with", "secondary"
    elif guard.get("worse"):
        words, colour = (
            f"worse than before in {', '.join(map(str, guard['worse']))}, exported all the same",
            "negative",
        )
    elif guard.get("undecided"):
        words, colour = "no figure fell, but the held-out images are too few to be sure", "warning"
    else:
        words, colour = "no figure fell by more than allowed", "positive"
    with ui.row().classes("items-center no-wrap gap-sm"):
        ui.icon("inventory_2", color=colour, size="sm").props("aria-hidden=true")
        ui.label(f"Exported to {name}/ at step {figures.get('step')}: {words}.").classes("studio-wrap")
