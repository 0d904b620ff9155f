"""What a small network keeps of a large one: figures and speed of students beside their teacher.

    python -m perception_contrast_training.bench.distillation BAG PHOTOS --output FOLDER \
        --classes FOLDER_OR_ZIP --masks FOLDER --photographs FOLDER

It distils each student (a run that was stopped is gone on with, a finished one is not run again) and then
measures it beside the teacher: kNN on images in classes, a linear probe of dense features on images with
label images, words on labelled photographs, and encoded images a second, in turns. What has no data is left
out.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from perception_contrast.core.cache import atomic_write
from perception_contrast.encoders.base import ImageEncoder
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.models.registry import LIT_TOWER, model_spec
from perception_contrast_training.cli.eval_command import main as evaluate
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.subset import evenly
from perception_contrast_training.distillation.distilling import distill
from perception_contrast_training.evaluation.compare import CompareSettings, compare
from perception_contrast_training.evaluation.encoder_adapters import encoder_adapter
from perception_contrast_training.evaluation.report import Outcome, Table, markdown

STUDENTS = ("resnet18", "mobilenetv4_conv_small")
ROUNDS = 15
FIGURES = "figures.json"
# Figures of ``eval --task photos`` that tell how far words work.
OF_WORDS = ("presence_auc", "absent_at_recall", "present_iou", "miou")


@dataclass(frozen=True)
class Measured:
    """Where figures come from; None for what is not measured. limit: images of each, at most, 0 for all."""

    classes: Path | None
    masks: Path | None
    photographs: Path | None
    limit: int
    size: int
    output: Path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("data", nargs="+", type=Path, metavar="DATA", help="images to learn from, as of `distill`")
    add("--teacher", default="household-lit", help="(default: %(default)s, which stands on DINOv2 ViT-S/14)")
    add("--student", action="append", help=f"may be repeated (default: {', '.join(STUDENTS)})")
    add("--output", type=Path, required=True, metavar="FOLDER")
    add("--steps", type=int, default=2000)
    add("--size", type=int, default=224, help="of images, while learning and for speed")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe `distill_scratch`")
    add("--classes", type=Path, metavar="PATH", help="images in a folder a class, for kNN")
    add("--masks", type=Path, metavar="FOLDER", help="images/ and labels/, for the dense probe")
    add("--photographs", type=Path, metavar="PATH", help="labelled photographs, as of `eval --task photos`")
    add("--limit", type=int, default=0, help="images of each of these, at most")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    students = [
        distilled(arguments.data, arguments.teacher, name, arguments)
        for name in arguments.student or STUDENTS
    ]
    measured = Measured(
        arguments.classes, arguments.masks, arguments.photographs, arguments.limit, arguments.size,
        arguments.output,
    )  # fmt: skip
    figures = all_figures(arguments.teacher, students, measured)
    atomic_write(arguments.output / FIGURES, (json.dumps(figures, indent=2) + "\n").encode())
    print(markdown(Outcome({}, [table(figures)])))


def distilled(data: Sequence[Path], teacher: str, student: str, arguments: argparse.Namespace) -> Path:
    """The folder of a student, distilled unless it is there."""
    run = arguments.output / student
    if (run / "model" / "model.json").is_file():
        return Path(run / "model")
    return distill(
        list(data), teachers=teacher, student=student, output=run, size=arguments.size, steps=arguments.steps,
        changes=arguments.set,
    )  # fmt: skip


def all_figures(teacher: str, students: Sequence[Path], measured: Measured) -> dict[str, dict[str, float]]:
    """By model's name, the teacher first."""
    # A teacher of words is made of an encoder of images and a head; that one has the features.
    words = model_spec(teacher).family == "lit"
    images = LIT_TOWER if words else teacher
    names = {teacher: images} | {model_spec(str(one)).name: str(one) for one in students}
    figures: dict[str, dict[str, float]] = {name: {} for name in names}
    for found in (_knn(names, measured), _dense_probe(names, measured), rates(names, measured.size)):
        for name, values in found.items():
            figures[name] |= values
    if measured.photographs is not None and words:
        for name, path in names.items():
            language = teacher if name == teacher else path
            figures[name] |= _words(path, language, measured)
    return figures


def _knn(names: Mapping[str, str], measured: Measured) -> dict[str, dict[str, float]]:
    if measured.classes is None:
        return {}
    images = evenly(open_dataset(measured.classes, classes="folders"), measured.limit)
    adapters = [encoder_adapter(path) for path in names.values()]
    outcome = compare(adapters, images, CompareSettings(tasks=("knn",)))
    return _by_name(names, outcome, "kNN")


def _dense_probe(names: Mapping[str, str], measured: Measured) -> dict[str, dict[str, float]]:
    if measured.masks is None:
        return {}
    from perception_contrast_training.evaluation.dense_compare import compare_dense

    adapters = [encoder_adapter(path) for path in names.values()]
    return _by_name(names, compare_dense(adapters, measured.masks, limit=measured.limit), "dense probe mIoU")


def _by_name(names: Mapping[str, str], outcome: Outcome, figure: str) -> dict[str, dict[str, float]]:
    """Reports are by the encoder's own name, which of the teacher is that of its image encoder."""
    rows = list(outcome.figures["encoders"].values())
    return {name: {figure: row[figure]} for name, row in zip(names, rows, strict=True)}


def _words(model: str, language: str, measured: Measured) -> dict[str, float]:
    path = measured.output / "words.json"
    limit = ["--limit", str(measured.limit)] if measured.limit else []
    models = ["--model", model, "--language-model", language]
    evaluate(["--task", "photos", "--data", str(measured.photographs), *models, "--json", str(path), *limit])
    stored: dict[str, Any] = json.loads(path.read_text())["figures"]
    return {name: float(stored[name]) for name in OF_WORDS if isinstance(stored.get(name), int | float)}


def rates(names: Mapping[str, str], size: int) -> dict[str, dict[str, float]]:
    """Images a second of each encoder alone in float32 torch, one at a time, in turns: the median round."""
    encoders = {name: load_dino(path) for name, path in names.items()}
    taken: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(ROUNDS):
        for name, encoder in encoders.items():
            taken[name].append(_seconds(encoder, size))
    return {name: {"images a second": 1 / statistics.median(times[1:])} for name, times in taken.items()}


@torch.inference_mode()
def _seconds(encoder: ImageEncoder, size: int) -> float:
    side = size // encoder.patch * encoder.patch
    image = torch.zeros(1, 3, side, side)
    began = time.perf_counter()
    encoder.encode(image)
    return time.perf_counter() - began


def table(figures: Mapping[str, Mapping[str, float]]) -> Table:
    """A row a figure; students beside the teacher, and what part of it they have."""
    teacher, *students = figures
    rows = []
    for name, whole in figures[teacher].items():
        row: list[Any] = [name, whole]
        for student in students:
            part = figures[student].get(name)
            row += [part, None if part is None or not whole else part / whole]
        rows.append(tuple(row))
    headings = ["figure", teacher, *(word for name in students for word in (name, "of it"))]
    return Table("Students beside their teacher", tuple(headings), rows)


if __name__ == "__main__":
    main()
