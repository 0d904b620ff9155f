"""Encodings that run, one for a dataset and an encoder; all visitors see them, also after a reload."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from perception_contrast_studio.server.studio_page import Studio

_NOTE = "encoding jobs"


@dataclass
class EncodingJob:
    """One that runs or has ended.

    Attributes:
        task: Gives the folder of the vectors.
        fraction: That is done.
        text: What happens.
    """

    task: asyncio.Task[Path]
    fraction: float = 0.0
    text: str = "waiting"

    @property
    def problem(self) -> str:
        """Why it ended without vectors; "" if it did not."""
        if not self.task.done():
            return ""
        if self.task.cancelled():
            return "cancelled; what was encoded is kept"
        error = self.task.exception()
        return str(error) if error is not None else ""


class EncodingJobs:
    """Those of a studio.

    Args:
        studio: Whose workers encode.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._jobs: dict[tuple[Path, str], EncodingJob] = {}

    def find(self, folder: Path, model: str) -> EncodingJob | None:
        """The job that runs for a dataset and an encoder."""
        job = self._jobs.get((folder, model))
        return None if job is None or job.task.done() else job

    def start(self, folder: Path, model: str) -> EncodingJob:
        """A new job, or the one that runs."""
        if (running := self.find(folder, model)) is not None:
            return running
        self._jobs = {key: job for key, job in self._jobs.items() if not job.task.done()}

        def told(fraction: float, text: str) -> None:
            job.fraction, job.text = fraction, text

        async def encoded() -> Path:
            found: Path = await self._studio.workers.run(
                "points.embedding:encode_dataset", on_progress=told, folder=folder, model=model
            )
            return found

        job = EncodingJob(asyncio.create_task(encoded()))
        # The error is for whoever looks; without one, asyncio would log it as forgotten.
        job.task.add_done_callback(lambda task: None if task.cancelled() else task.exception())
        self._jobs[folder, model] = job
        return job


def encoding_jobs(studio: Studio) -> EncodingJobs:
    """Those of the studio, for all visitors."""
    found: EncodingJobs = studio.notes.setdefault(_NOTE, EncodingJobs(studio))
    return found
