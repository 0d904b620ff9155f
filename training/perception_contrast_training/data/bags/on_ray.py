"""The extraction of many recordings on Ray, an optional library."""

from __future__ import annotations

from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.bags.output import SourceJob
from perception_contrast_training.data.bags.source import Report


def run_on_ray(jobs: list[SourceJob], report: Report | None = None) -> list[Any]:
    """As ``attempt`` for each job, a recording a task, in the order of the jobs.

    Joins the cluster that RAY_ADDRESS names, or starts one on this machine. Its nodes must see the
    recordings and the dataset under the same paths, and have this package. Raises PerceptionError.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise PerceptionError("--ray needs the library ray; install it with `pip install ray`") from error
    from perception_contrast_training.data.bags.extract import attempt

    mine = not ray.is_initialized()
    if mine:
        ray.init(log_to_driver=False, include_dashboard=False)
    try:
        task = ray.remote(attempt)
        references = [task.remote(job) for job in jobs]
        numbers = dict(zip(references, range(len(jobs)), strict=True))
        waiting = list(references)
        while waiting:
            done, waiting = ray.wait(waiting)
            if report is not None:
                for one in done:
                    outcome = ray.get(one)
                    read = 0
                    if isinstance(outcome, dict):
                        read = sum(counts.get("read", 0) for counts in outcome["topics"].values())
                    report(numbers[one], read, read)
        found: list[Any] = ray.get(references)
        return found
    finally:
        if mine:
            ray.shutdown()
