"""All recordings of a dataset: one after the other, in processes, or on Ray; the result is the same."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.bags.options import ExtractOptions
from perception_contrast_training.data.bags.output import SourceJob
from perception_contrast_training.data.bags.plan import Plan, locked, make_plan
from perception_contrast_training.data.bags.source import Report, extract_source
from perception_contrast_training.data.datasets.manifest import MANIFEST, join_tables
from perception_contrast_training.data.loading.workers import SPAWNED, worker_pool

Outcome = dict[str, Any] | PerceptionError
_WAIT = 0.2  # seconds between looks at the workers' reports


@dataclass(frozen=True)
class Extracted:
    """frames: rows of the manifest. results: of ``extract_source`` by recording. failed: reason by name."""

    dataset: Path
    frames: int
    results: tuple[dict[str, Any], ...]
    failed: dict[str, str]


def extract(
    recordings: Sequence[Path | str],
    dataset: Path | str,
    options: ExtractOptions | None = None,
    *,
    workers: int = 0,
    ray: bool = False,
    skip_bad: bool = False,
    report: Report | None = None,
) -> Extracted:
    """Extracts recordings, or folders of them, into a dataset; goes on with one that was interrupted.

    workers: processes, 0 for one a processor; 1 does all in this one. ray: on a Ray cluster, which must
    see the recordings and the dataset under the same paths. skip_bad: leave out recordings that cannot
    be used. Raises PerceptionError; finished shards stay in any case.
    """
    place = Path(dataset).resolve()
    with locked(place):
        plan = make_plan(place, [Path(one) for one in recordings], options or ExtractOptions())
        jobs = plan.jobs(place)
        outcomes = list(_outcomes(jobs, workers, ray, report))
        return _joined(place, plan, outcomes, skip_bad)


def _outcomes(jobs: list[SourceJob], workers: int, ray: bool, report: Report | None) -> list[Outcome]:
    if ray:
        from perception_contrast_training.data.bags.on_ray import run_on_ray

        return run_on_ray(jobs, report)
    count = min(workers or os.cpu_count() or 1, len(jobs))
    if count == 1:
        return [attempt(job, report) for job in jobs]
    return _in_processes(jobs, count, report)


def attempt(job: SourceJob, report: Report | None = None) -> Outcome:
    """The result of one recording, or why there is none: a bad one must not stop the others."""
    try:
        return extract_source(job, report)
    except PerceptionError as error:
        return PerceptionError(str(error))


def _in_processes(jobs: list[SourceJob], count: int, report: Report | None) -> list[Outcome]:
    with SPAWNED.Manager() as manager, worker_pool(count) as pool:
        reports = manager.Queue()
        futures = [pool.submit(attempt, job, partial(_send, reports)) for job in jobs]
        try:
            for _ in _until_done(futures):
                _deliver(reports, report)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        _deliver(reports, report)
        return [future.result() for future in futures]


def _until_done(futures: Sequence[Future[Outcome]]) -> Iterator[None]:
    waiting = set(futures)
    while waiting:
        _, waiting = wait(waiting, _WAIT, FIRST_COMPLETED)
        yield


def _send(reports: Any, number: int, done: int, total: int) -> None:
    reports.put((number, done, total))


def _deliver(reports: Any, report: Report | None) -> None:
    while True:
        try:
            number, done, total = reports.get_nowait()
        except queue.Empty:
            return
        if report is not None:
            report(number, done, total)


def _joined(dataset: Path, plan: Plan, outcomes: list[Outcome], skip_bad: bool) -> Extracted:
    """Joins the manifests of all shards in the order of the recordings."""
    failed = {
        source.name: str(outcome)
        for source, outcome in zip(plan.sources, outcomes, strict=True)
        if isinstance(outcome, PerceptionError)
    }
    results = tuple(outcome for outcome in outcomes if not isinstance(outcome, PerceptionError))
    if failed and (not skip_bad or not results):
        if len(plan.sources) == 1:
            raise PerceptionError(next(iter(failed.values())))
        reasons = "; ".join(failed.values())
        raise PerceptionError(
            f"{len(failed)} of {len(plan.sources)} recordings could not be extracted: {reasons}. The others "
            "are done; mend these, or leave them out with --skip-bad"
        )
    frames = join_tables(_parts(plan, dataset, results), dataset / MANIFEST)
    return Extracted(dataset, frames, results, failed)


def _parts(plan: Plan, dataset: Path, results: Sequence[dict[str, Any]]) -> list[Path]:
    done = {result["name"]: result["shards"] for result in results}
    return [
        job.shard(count).with_suffix(".parquet")
        for job in plan.jobs(dataset)
        for count in range(done.get(job.name, 0))
    ]
