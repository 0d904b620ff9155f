"""Do the workers keep the device busy? Images a second of loading, of views, of steps, and of all together.

    python -m perception_contrast_training.bench.loader_rates --recipe simclr_scratch --set data.path=DATASET

Views are made by the workers and on the device, with as many workers as asked for; where loading is faster
than the steps, the device waits for nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from perception_contrast.bench.machine import synchroniser
from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.config.pretraining_recipe import PretrainRecipe, read_recipe, settled
from perception_contrast_training.config.shipped_recipes import recipe_path
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.engine.distributed import joined
from perception_contrast_training.engine.feed import loaded
from perception_contrast_training.engine.pretraining_data import open_data, with_data_at
from perception_contrast_training.engine.recipe_method import initial_backbone, method_of
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.evaluation.report import Outcome, Table, markdown
from perception_contrast_training.views.device_views import DEVICE, WORKERS, made_on_device

WARM_UPS = 2


@dataclass(frozen=True)
class Rates:
    """Images a second. loading: batches of the workers, with nothing else to do. views: of the device, NaN
    where workers make them. step: of one batch again and again. together: of a run. waiting: share of the
    run's time in which the device has no batch."""

    loading: float
    views: float
    step: float
    together: float
    waiting: float


def measure(recipe: PretrainRecipe, batches: int) -> Rates:
    """Trains by a recipe for some batches, and writes nothing.

    Args:
        recipe: Of a method; ``data.views`` and ``data.workers`` are what is measured.
        batches: Of each measurement.

    Raises:
        PerceptionError: The data is not there, or as of a run.
    """
    images = open_data(recipe).learned
    backbone = initial_backbone(recipe)
    recipe, _ = settled(recipe, len(images), backbone.size)
    order = Order(len(images), recipe.optimisation.batch, recipe.seed)
    method, views = method_of(recipe, backbone)
    with joined(recipe.optimisation.device) as processes:
        trainer = Trainer(method, recipe.optimisation, epoch_steps=order.pass_batches, processes=processes)
        wait, later = synchroniser(str(processes.device)), recipe.data.views == DEVICE
        size = recipe.optimisation.batch

        def feed() -> Iterator[dict[str, Any]]:
            return loaded(images, views, order, recipe.data, processes)

        def made(source: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
            return made_on_device(source, views, processes.device) if later else source

        source = feed()
        loading = _rate(lambda: next(source), batches, size, wait)
        drawn = next(source)
        batch = next(made(iter([drawn])))
        viewing = _rate(lambda: next(made(iter([drawn]))), batches, size, wait) if later else float("nan")
        step = _rate(lambda: trainer.step(_learned(batch)), batches, size, wait)
        run, waited = made(feed()), 0.0

        def one() -> None:
            nonlocal waited
            began = time.perf_counter()
            given = next(run)
            waited += time.perf_counter() - began
            trainer.step(_learned(given))

        for _ in range(WARM_UPS):
            one()
        waited, began = 0.0, time.perf_counter()
        for _ in range(batches):
            one()
        wait()
        took = time.perf_counter() - began
    return Rates(loading, viewing, step, batches * size / took, waited / took)


def _rate(work: Callable[[], object], times: int, images: int, wait: Callable[[], None]) -> float:
    for _ in range(WARM_UPS):
        work()
    wait()
    began = time.perf_counter()
    for _ in range(times):
        work()
    wait()
    return times * images / (time.perf_counter() - began)


def _learned(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in batch.items() if not name.startswith("unreadable")}


def verdict(rates: Rates) -> str:
    """Whether the device waits, and the cure."""
    if rates.loading >= rates.step:
        return f"the workers load {rates.loading / rates.step:.1f} times as fast as the steps go"
    return (
        f"the device waits for {rates.waiting:.0%} of the time: raise data.workers, set data.views to "
        "device, or store images near the size of the views"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0. Raises PerceptionError."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", required=True, metavar="NAME|FILE")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="may be repeated")
    parser.add_argument("--workers", nargs="+", type=int, default=[2, 8], metavar="N")
    parser.add_argument("--views", nargs="+", choices=(WORKERS, DEVICE), default=[WORKERS, DEVICE])
    parser.add_argument("--batches", type=int, default=20, help="of each measurement (default: %(default)s)")
    options = parser.parse_args(argv)
    changes = [f"optimisation.steps={10 * (options.batches + WARM_UPS)}", *options.set]
    recipe = with_data_at(read_recipe(recipe_path(options.recipe), changes))
    rows: list[tuple[str | float | int | None, ...]] = []
    said: list[str] = []
    for where in options.views:
        for workers in options.workers:
            chosen = replace(recipe, data=replace(recipe.data, views=where, workers=workers))
            found = measure(chosen, options.batches)
            viewing = round(found.views) if where == DEVICE else None
            rates = (round(found.loading), viewing, round(found.step), round(found.together))
            rows.append((where, workers, *rates, f"{found.waiting:.0%}"))
            said.append(f"views by the {where}, {workers} workers: {verdict(found)}.")
            print(said[-1], file=sys.stderr, flush=True)
    headings = ("views", "workers", "loading", "views/s", "step", "together", "waiting")
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU (no GPU is there)"
    table = Table(
        f"Images a second, {recipe.name}, batch {recipe.optimisation.batch}, {name}", headings, rows
    )
    print(markdown(Outcome({}, [table], notes=said)))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PerceptionError as error:
        sys.exit(f"loader_rates: {error}")
