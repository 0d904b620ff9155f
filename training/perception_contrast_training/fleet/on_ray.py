"""Items of work on a Ray cluster, an optional library."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import PerceptionError, one_line
from perception_contrast_training.fleet.map_items import Flow, Item, Where, Work, attempt

LOCAL, AUTO = "local", "auto"
_AHEAD_PER_CPU = 4
REACHED_WITHIN = 10.0  # seconds, in which the head of a cluster has to answer


@contextmanager
def joined(address: str, cpus: int | None = None) -> Iterator[Any]:
    """The library, joined to a cluster; one that was joined before stays joined.

    Args:
        address: Of the cluster; "auto" for the one that RAY_ADDRESS names or that runs on this machine,
            "local" to start one on this machine.
        cpus: Processors of a cluster that is started here; None for all.

    Raises:
        PerceptionError: Ray is not installed, or there is no such cluster.
    """
    # Ray reports its use to its makers unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # On a busy machine its processes take longer to start than the minute that it waits.
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise PerceptionError("--ray needs the library ray; install it with `pip install ray`") from error
    mine = not ray.is_initialized()
    if mine:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if address == LOCAL:
            options |= {"include_dashboard": False, "address": LOCAL, "num_cpus": cpus}
        else:
            _require_answer(_last_cluster() if address == AUTO else address)
            options["address"] = address
        try:
            ray.init(**options)
        except Exception as error:  # ConnectionError, ValueError, RuntimeError, by its kind
            raise _no_cluster(address, error) from error
    try:
        yield ray
    finally:
        if mine:
            ray.shutdown()


def map_on_ray(
    work: Work[Item], items: Iterable[Item], where: Where, *, ordered: bool = False
) -> Iterator[tuple[int, Any]]:
    """As ``map_items``, an item a task.

    The nodes must have this package and see data and results under the same paths or addresses. A relative
    path is looked for in this process's folder, where a node has that folder. Ray gives the item of a worker
    that died to another one, ``where.retries`` times; then its result is an error.
    """
    with joined(where.ray) as ray:
        task = ray.remote(
            max_retries=where.retries, num_cpus=where.cpus, num_gpus=where.gpus or None, max_calls=0
        )(_attempt_there)
        ahead = where.ahead or max(2, int(_AHEAD_PER_CPU * ray.cluster_resources().get("CPU", 1)))
        shared, folder = ray.put(work), str(Path.cwd())
        flow = Flow(items, ahead, ordered=ordered)
        # In a list Ray leaves the reference as it is, so that a worker unpacks the work once.
        while running := flow.send(lambda item: task.remote([shared], folder, item)):
            done, _ = ray.wait(running)
            for one in done:
                yield from flow.end(one, _result(ray, one))


def _attempt_there(shared: list[Any], folder: str, item: Any) -> Any:
    """``attempt`` in a worker."""
    if Path(folder).is_dir() and Path.cwd() != Path(folder):
        os.chdir(folder)
    return attempt(_unpacked(shared[0]), item)


def _last_cluster() -> str:
    """The address that Ray takes for AUTO; "" where that is for Ray to find out.

    ``ray start`` leaves the address of the last cluster in a file, which outlives the cluster.
    """
    if given := os.environ.get("RAY_ADDRESS", ""):
        return given
    for name in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if name.read_text().strip() == "gcs_server":  # of a cluster that runs on this machine
                return ""
    left = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
    with suppress(OSError, UnicodeDecodeError):
        return left.read_text("utf-8").strip()
    return ""


def _no_cluster(address: str, error: Exception) -> PerceptionError:
    return PerceptionError(
        f"no Ray cluster at '{address}' ({one_line(error)}); start one with `ray start --head`, or let this "
        f"command start one: --ray {LOCAL}"
    )


def _require_answer(address: str) -> None:
    """Refuses an address where nothing listens at once: Ray itself tries for more than a minute.

    Raises:
        PerceptionError: No connection to HOST:PORT. Other kinds of addresses are left to Ray.
    """
    host, colon, port = address.rpartition(":")
    if not colon or "/" in host or not port.isdecimal():
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_WITHIN):
            pass
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from error


@lru_cache(maxsize=1)
def _unpacked(reference: Any) -> Any:
    import ray

    return ray.get(reference)


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.as_instanceof_cause() from error
    except ray.exceptions.RayError as error:
        return PerceptionError(
            f"a Ray worker failed again and again ({one_line(error)}); look at its memory, then give the "
            "same command again: what is finished stays"
        )
