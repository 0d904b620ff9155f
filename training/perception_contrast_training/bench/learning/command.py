"""The command of `make bench-train`: cells in their order, until the time of this piece is over."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from perception_contrast.cli.argument_types import positive_int
from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError, one_line
from perception_contrast_training.bench.learning import images_alone, words
from perception_contrast_training.bench.learning.captioned_images import Captioned, photographs, scenes
from perception_contrast_training.bench.learning.cells import (
    IMAGES_ALONE,
    LIGHTLY,
    NETWORKS,
    OPEN_CLIP,
    OURS,
    PHOTOGRAPHS,
    SCENES,
    SEEDS,
    WORDS,
    Cell,
    all_cells,
)
from perception_contrast_training.bench.learning.pieces import Deadline, OutOfTimeError, Work
from perception_contrast_training.bench.learning.results import (
    CELLS,
    MISSING,
    UNDER_WAY,
    Results,
    read_results,
)
from perception_contrast_training.bench.learning.tables import page
from perception_contrast_training.evaluation.held_out_figures import HeldOut
from perception_contrast_training.evaluation.marked_text import put_between_markers
from perception_contrast_training.household.close_ups import CloseUps
from perception_contrast_training.networks.backbones import BackboneSettings

DESCRIPTION = """\
Does each method learn? A fixed number of steps a cell, beside lightly's and open_clip's parts.

The first call says where the images are; later ones go on where the last one stopped, for as many minutes as
they are given. Two processes may work at the same time; each takes the next cell that nobody has.
"""


@dataclass(frozen=True)
class Budget:
    """Of every cell; what the file of results notes, so that figures of two budgets are never mixed."""

    images: images_alone.Images = field(default_factory=images_alone.Images)
    words: words.Words = field(default_factory=words.Words)
    shown: CloseUps = field(default_factory=CloseUps)

    def noted(self) -> dict[str, Any]:
        """As JSON holds it."""
        steps = {"images": asdict(self.images.steps), "words": asdict(self.words.steps)}
        shown = {name: value for name, value in asdict(self.shown).items() if name != "offline"}
        return {
            "steps": steps,
            "learned": self.images.learned,
            "held": self.images.held,
            "networks": {name: _chosen(self.images.network(name)) for name in images_alone.NETWORKS},
            "towers": {"learned": _chosen(self.words.tower), "frozen": _chosen(self.words.frozen)},
            "scenes": shown,
        }


def _chosen(network: BackboneSettings) -> dict[str, Any]:
    """What differs from the defaults: a setting that comes later leaves figures of before as they are."""
    usual = asdict(BackboneSettings(name=network.name))
    return {"name": network.name} | {
        name: value for name, value in asdict(network).items() if value != usual[name]
    }


@dataclass(frozen=True)
class Sources:
    """Where the images are, and what is made of them when a cell first asks.

    Attributes:
        images: A .zip or folder with a folder a class.
        pictures: Photographs in a folder a class; "" for none.
        folder: Where rendered things are kept.
        budget: Of the cells.
    """

    images: str
    pictures: str
    folder: Path
    budget: Budget

    @cached_property
    def labelled(self) -> HeldOut:
        if not self.images:
            raise PerceptionError("there are no images yet; say where they are with --data IMAGES")
        return images_alone.read_images(Path(self.images), self.budget.images)

    @cached_property
    def scenes(self) -> Captioned:
        return scenes(self.folder / "scenes", self.budget.shown)

    @cached_property
    def photographs(self) -> Captioned:
        if not self.pictures:
            raise PerceptionError(
                "there are no photographs yet; say where they are with --photographs FOLDER"
            )
        return photographs(Path(self.pictures))


def run(cells: Sequence[Cell], results: Results, sources: Sources, deadline: Deadline, folder: Path) -> None:
    """Measures what is missing. A cell that cannot be run here is noted with the reason, and left out.

    Raises:
        OutOfTimeError: The deadline came before the last cell.
        PerceptionError: The file of results cannot be used.
    """
    for cell in cells:
        with results.own(cell.key) as free:
            if not free:
                continue
            deadline.check()
            tell = partial(results.note, UNDER_WAY, cell.key)
            work = Work(folder / "cells" / cell.key, deadline, tell)
            try:
                found = _measured(cell, results, sources, work)
            except PerceptionError as error:
                results.note(MISSING, cell.key, one_line(error))
                print(f"{cell.key} cannot be run: {one_line(error)}", flush=True)
                continue
            results.add(cell.key, found)
            work.finish()
            print(cell.key, json.dumps(found), flush=True)


def _measured(cell: Cell, results: Results, sources: Sources, work: Work) -> dict[str, Any]:
    budget = sources.budget
    if cell.method not in WORDS:
        return images_alone.measure(cell, sources.labelled, budget.images, work, results)
    data = sources.scenes if cell.on == SCENES else sources.photographs
    return words.measure(cell, data, budget.words, work, sources.folder / f"vectors_{cell.on}.safetensors")


def main(argv: Sequence[str] | None = None, budget: Budget | None = None) -> int:
    """Exit code 0, whether the work ended or the minutes did. Raises PerceptionError."""
    options = _parser().parse_args(argv)
    budget = budget or Budget()
    budget = replace(budget, shown=replace(budget.shown, offline=options.offline))
    torch.set_num_threads(options.threads)
    path = options.results or options.output / "results.json"
    results = Results(path, budget.noted(), options.output / "locks")
    sources = _sources(options, budget)
    chosen = [
        cell
        for cell in all_cells(options.seeds)
        if cell.method in (options.methods or [cell.method])
        and cell.on in (options.on or [cell.on])
        and cell.maker in (options.makers or [cell.maker])
    ]
    deadline = Deadline.after(options.minutes) if options.minutes else Deadline()
    over = False
    if not options.tables:
        try:
            run(chosen, results, sources, deadline, options.output)
        except OutOfTimeError:
            over = True
    left = sum(cell.key not in results.read()[CELLS] for cell in chosen)
    ended = f"{left} of {len(chosen)} cells are left" if left else "all cells are run"
    ended = f"the time is over; {ended}; the same command goes on" if over else ended
    text = page(read_results(path) if path.is_file() else results.read())
    print(text)
    if options.page:
        put_between_markers(options.page, text)
    print(f"\n{ended}")
    return 0


def _sources(options: argparse.Namespace, budget: Budget) -> Sources:
    """As the options say, or as they said at an earlier call."""
    noted = options.output / "data.json"
    known: dict[str, str] = json.loads(noted.read_text()) if noted.is_file() else {}
    for name in ("data", "photographs"):
        given: Path | None = getattr(options, name)
        if given is not None:
            if not given.exists():
                raise PerceptionError(f"--{name} '{given}' does not exist; check the path")
            known[name] = str(given.absolute())
    atomic_write(noted, json.dumps(known).encode())
    return Sources(known.get("data", ""), known.get("photographs", ""), options.output, budget)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench-train", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--data", type=Path, metavar="IMAGES", help="a .zip or folder with a folder a class, such as CIFAR-10"
    )
    add(
        "--photographs",
        type=Path,
        metavar="FOLDER",
        help="photographs in a folder a class, named as captions",
    )
    add("--minutes", type=float, default=0.0, help="begin no step after so many (default: until the end)")
    add("--threads", type=positive_int, default=os.cpu_count() or 1, help="of PyTorch (default: %(default)s)")
    add("--seeds", nargs="+", type=int, default=list(SEEDS), choices=SEEDS)
    add("--methods", nargs="+", choices=(*IMAGES_ALONE, *WORDS), help="only these")
    add(
        "--on",
        nargs="+",
        choices=(*NETWORKS, SCENES, PHOTOGRAPHS),
        help="only on these networks or kinds of data",
    )
    add("--makers", nargs="+", choices=(OURS, LIGHTLY, OPEN_CLIP), help="only by these")
    add("--output", type=Path, default=Path("runs/bench_train"), help="checkpoints (default: %(default)s)")
    add("--results", type=Path, metavar="FILE", help="figures (default: results.json in the output folder)")
    add(
        "--page", type=Path, metavar="FILE", help="a page whose tables, between two markers, are written anew"
    )
    add("--tables", action="store_true", help="run nothing; write the tables of what is there")
    add("--offline", action="store_true", help="assets must be in the cache")
    return parser
