"""Choice of what is shown: vectors of files, datasets through an encoder, saved maps, the robot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from nicegui import run, ui

from perception_contrast.core.errors import PerceptionError
from perception_contrast_studio.components.embedding.encoding_jobs import EncodingJob, encoding_jobs
from perception_contrast_studio.components.embedding.live_vectors import LiveVectors, live_vectors
from perception_contrast_studio.components.shared.progress_bar import ProgressBar
from perception_contrast_studio.points.source_list import image_folders, map_memories, vector_files
from perception_contrast_studio.points.sources import EncodedDataset, MapMemory, Source, VectorFile
from perception_contrast_studio.server.studio_page import Visit

ENCODER = "household-lit"
LIVE = "live"
_POLL_SECONDS = 0.3
_FOLLOW_SECONDS = 2.0
NOTHING = (
    "There is nothing to show yet. Start the studio with a dataset: `perception-contrast studio --dataset "
    "DIR`. DIR may be a folder of images, one that `perception-contrast data extract BAG --out DIR` made, or "
    "one with vectors in an .npz file. Or start it with --robot while a perception_node runs."
)


@dataclass(frozen=True)
class _Choice:
    title: str
    value: VectorFile | MapMemory | Path | str


class SourcePicker:
    """Selects a source and opens it.

    Args:
        visit: Whose folders, rights and robot count.
        progress: Shows how far an encoding is.
        open_source: Shows a source; ``True`` for one that only grew.
        explain: Says why there is no picture.
    """

    def __init__(
        self,
        visit: Visit,
        progress: ProgressBar,
        open_source: Callable[[Source, bool], Awaitable[None]],
        explain: Callable[[str], None],
    ) -> None:
        self._visit, self._progress = visit, progress
        self._open_source, self._explain = open_source, explain
        self._choices: list[_Choice] = []
        self._job: EncodingJob | None = None
        self._live: LiveVectors | None = None
        self._seen_version = -1
        self._select = (
            ui.select({}, label="Show", on_change=self._chosen).classes("col-12 col-sm").props("dense")
        )
        self._encoder = ui.select(
            [ENCODER],
            value=ENCODER,
            label="Encoder",
            with_input=True,
            on_change=self._chosen,
        )
        self._encoder.classes("col-12 col-sm-auto").props("dense").style("min-width: 190px")
        self._encode = ui.button("Encode", icon="memory", on_click=visit.changes(self._start)).props(
            "no-caps"
        )
        self._follow = ui.switch("Follow", value=True).tooltip(
            "New frames come into the picture by themselves"
        )
        self._polls = ui.timer(_POLL_SECONDS, self._poll, active=False)
        self._follows = ui.timer(_FOLLOW_SECONDS, self._grow, active=False)
        for element in (self._encoder, self._encode, self._follow):
            element.set_visibility(False)
        visit.on_leave(self._leave)

    async def load(self) -> bool:
        """Lists what there is and opens the first of it. False if there is nothing."""
        folders = self._visit.studio.folders
        files = await run.io_bound(vector_files, folders.datasets)
        images = await run.io_bound(image_folders, folders.datasets)
        memories = await run.io_bound(map_memories, folders.maps)
        self._choices = [
            *(_Choice(f"vectors: {one.title}", one) for one in files or []),
            *(_Choice(f"images: {one.name}", one) for one in images or []),
            *(_Choice(one.title, one) for one in memories or []),
        ]
        if self._visit.studio.robot is not None:
            self._choices.append(_Choice("frames of the robot, live", LIVE))
        named = self._visit.studio.notes.get("map")
        start = next(
            (
                n
                for n, one in enumerate(self._choices)
                if isinstance(one.value, MapMemory) and one.value.name == named
            ),
            0,
        )
        self._select.set_options({number: one.title for number, one in enumerate(self._choices)})
        if self._choices:
            self._select.set_value(start)
        return bool(self._choices)

    def pause(self) -> None:
        """Live frames come no more by themselves, as while a lasso is looked at."""
        self._follow.set_value(False)

    def cancel(self) -> bool:
        """Ends the encoding that is shown; False if none is."""
        if self._job is None or not self._visit.rights.change:
            return False
        self._job.task.cancel()
        return True

    @property
    def _value(self) -> VectorFile | MapMemory | Path | str | None:
        number = self._select.value
        return (
            self._choices[number].value if isinstance(number, int) and number < len(self._choices) else None
        )

    async def _chosen(self) -> None:
        value = self._value
        self._job = None
        self._polls.deactivate()
        self._watch(value == LIVE)
        is_folder = isinstance(value, Path)
        self._encoder.set_visibility(is_folder)
        self._encode.set_visibility(False)
        if isinstance(value, Path):
            await self._open_folder(value, str(self._encoder.value))
        elif isinstance(value, VectorFile | MapMemory):
            await self._open_source(value, False)
        if is_folder and len(self._encoder.options) == 1:
            names = await self._visit.studio.workers.run("encoders.encoder_list:encoder_names", lane="points")
            self._encoder.set_options(names, value=self._encoder.value)

    async def _open_folder(self, folder: Path, model: str) -> None:
        self._job = encoding_jobs(self._visit.studio).find(folder, model)
        if self._job is not None:
            self._explain(f"The images of '{folder.name}' are being encoded; this page may be closed.")
            self._polls.activate()
            return
        self._progress.tell(0.0, "looking for vectors of this dataset")
        try:
            cache = await self._visit.studio.workers.run(
                "points.encoded_points:find_encoded", lane="points", folder=folder, model=model
            )
        except PerceptionError as error:
            ui.notify(str(error), type="warning", multi_line=True)
            return
        finally:
            self._progress.end()
        if (folder, model) != (self._value, self._encoder.value):
            return
        if cache is None:
            self._encode.set_visibility(True)
            self._explain(
                f"The images of '{folder.name}' have not been encoded by {model} yet. Press Encode: it goes "
                "on when this page is closed, and the vectors are kept."
            )
            return
        await self._open_source(EncodedDataset(folder, model, cache), False)

    def _start(self) -> None:
        value = self._value
        if isinstance(value, Path):
            self._encode.set_visibility(False)
            self._explain(f"The images of '{value.name}' are being encoded; this page may be closed.")
            self._job = encoding_jobs(self._visit.studio).start(value, str(self._encoder.value))
            self._polls.activate()

    async def _poll(self) -> None:
        job = self._job
        if job is None:
            self._polls.deactivate()
            return
        if not job.task.done():
            self._progress.tell(job.fraction, job.text, cancellable=self._visit.rights.change)
            return
        self._job = None
        self._polls.deactivate()
        self._progress.end()
        if job.problem:
            self._encode.set_visibility(True)
            ui.notify(job.problem, type="warning", multi_line=True)
            return
        value = self._value
        if isinstance(value, Path):
            await self._open_source(EncodedDataset(value, str(self._encoder.value), job.task.result()), False)

    def _watch(self, wanted: bool) -> None:
        wanted = wanted and not self._visit.gone
        self._follow.set_visibility(wanted)
        self._follows.active = wanted
        if wanted and self._live is None:
            self._live = live_vectors(self._visit.studio)
            self._seen_version = -1
            if self._live is not None:
                self._live.watch()
        elif not wanted and self._live is not None:
            self._live.leave()
            self._live = None

    async def _grow(self) -> None:
        live = self._live
        if live is None or not self._follow.value or live.version == self._seen_version:
            if live is not None and len(live) < 2:
                self._explain(live.problem or "Waiting for frames of the robot.")
            return
        first, self._seen_version = self._seen_version < 0, live.version
        try:
            source = live.points()
        except PerceptionError as error:
            self._explain(str(error))
            return
        await self._open_source(source, not first)

    def _leave(self) -> None:
        self._polls.deactivate()
        self._follows.deactivate()
        if self._live is not None:
            self._live.leave()
            self._live = None
