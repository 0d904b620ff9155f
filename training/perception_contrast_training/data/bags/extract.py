"""All recordings of a dataset: one after the other, in processes, or on Ray; the result is the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.bags import bucket_output
from perception_contrast_training.data.bags.options import ExtractOptions
from perception_contrast_training.data.bags.output import SourceJob
from perception_contrast_training.data.bags.plan import Plan, locked, make_plan
from perception_contrast_training.data.bags.source import Report, extract_source
from perception_contrast_training.data.datasets.manifest import DESCRIPTION, MANIFEST, join_tables
from perception_contrast_training.fleet.map_items import Where, map_items
from perception_contrast_training.storage.mirror import mirror_folder
from perception_contrast_training.storage.place import Bucket, is_address

Outcome = dict[str, Any] | PerceptionError


@dataclass(frozen=True)
class Extracted:
    """frames: rows of the manifest. results: of ``extract_source`` by recording. failed: reason by name."""

    dataset: Path | str
    frames: int
    results: tuple[dict[str, Any], ...]
    failed: dict[str, str]


def extract(
    recordings: Sequence[Path | str],
    dataset: Path | str,
    options: ExtractOptions | None = None,
    *,
    workers: int = 0,
    where: Where | None = None,
    skip_bad: bool = False,
    report: Report | None = None,
) -> Extracted:
    """Extracts recordings, or folders of them, into a dataset; goes on with one that was interrupted.

    workers: processes, 0 for one a processor; 1 does all in this one. where: in its place, for a Ray
    cluster, which must see the recordings and the dataset under the same paths or addresses. skip_bad:
    leave out recordings that cannot be used. Raises PerceptionError; finished shards stay in any case.
    """
    bucket = Bucket(str(dataset)) if is_address(dataset) else None
    place = Path(dataset).resolve() if bucket is None else mirror_folder(bucket)
    with locked(place):
        if bucket is not None:
            bucket_output.begin(bucket)
        plan = make_plan(place, [Path(one) for one in recordings], options or ExtractOptions())
        if bucket is not None:
            for name in (MANIFEST, DESCRIPTION):
                bucket_output.send(bucket, place, name)
        jobs = plan.jobs(place, "" if bucket is None else bucket.address)
        outcomes = _outcomes(jobs, where or Where(workers), report)
        if bucket is not None:
            bucket_output.fetch_tables(bucket, place)
        found = _joined(place, plan, outcomes, skip_bad)
        if bucket is not None:
            bucket_output.send(bucket, place, MANIFEST)
            found = replace(found, dataset=bucket.address)
        return found


def _outcomes(jobs: list[SourceJob], where: Where, report: Report | None) -> list[Outcome]:
    """The result of each recording, or why there is none: a bad one does not stop the others."""
    found: dict[int, Outcome] = {}
    for number, outcome in map_items(extract_source, jobs, where, report):
        found[number] = outcome
        if where.ray and report is not None and isinstance(outcome, dict):
            read = sum(counts.get("read", 0) for counts in outcome["topics"].values())
            report(number, read, read)
    return [found[number] for number in range(len(jobs))]


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
