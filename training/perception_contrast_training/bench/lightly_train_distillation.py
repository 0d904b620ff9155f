"""Students that lightly-train distils, measured as ours are.

    python -m perception_contrast_training.bench.lightly_train_distillation BAG PHOTOS --output FOLDER \
        --classes FOLDER_OR_ZIP --masks FOLDER --beside OUR_EXPORTED_STUDENT

lightly-train is another library under another licence (AGPL-3.0), so it is no dependency: install it in an
environment of its own, beside this package. It learns from the images that `distill` would learn from, with
the same teacher's weights, size, batch and steps, in float32, and with its own defaults in all else. A run
that was stopped is gone on with from its last pass over the images. What has no data is left out.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import math
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError
from perception_contrast.encoders.dinov2 import load_dino
from perception_contrast.images.files import save_image
from perception_contrast.models.registry import model_spec
from perception_contrast_training.bench.distillation import STUDENTS
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.datasets.subset import evenly
from perception_contrast_training.distillation.distilling import distillation_recipe
from perception_contrast_training.engine.pretraining_data import open_data
from perception_contrast_training.evaluation.compare import CompareSettings, compare
from perception_contrast_training.evaluation.dense_compare import compare_dense
from perception_contrast_training.evaluation.encoder_adapters import encoder_adapter
from perception_contrast_training.evaluation.encoding import EncoderAdapter
from perception_contrast_training.evaluation.report import Outcome, Table, markdown

logger = logging.getLogger(__name__)

TEACHERS = {f"dinov2-{size}14": f"dinov2/vit{size}14-noreg" for size in "sbl"}
# Its own resampling of positions adds a tenth of a cell, which ours and timm's do not.
TEACHER_ARGUMENTS = {"interpolate_offset": 0.0}
NEAR = 1e-4  # between the features of its teacher and of ours
FIGURES = ("dense probe mIoU", "kNN")
TIME = "profiling/batch_time"  # in its log, of some steps


@dataclass(frozen=True)
class Budget:
    """What both libraries get alike. size: side of images in pixels; its patch rounds it down."""

    teacher: str
    size: int
    batch: int
    steps: int

    @property
    def side(self) -> int:
        """Of the images of lightly-train, whose teacher and student see the same ones."""
        patch = model_spec(self.teacher).patch
        return self.size // patch * patch


@dataclass(frozen=True)
class Learned:
    """A student of lightly-train. seconds: of a step, the median of those that its log tells."""

    network: str
    weights: Path
    seconds: float


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("data", nargs="+", type=Path, metavar="DATA", help="images to learn from, as of `distill`")
    add("--teacher", default="dinov2-s14", choices=sorted(TEACHERS))
    add("--student", action="append", help=f"may be repeated (default: {', '.join(STUDENTS)})")
    add("--output", type=Path, required=True, metavar="FOLDER")
    add("--steps", type=int, default=2000)
    add("--batch", type=int, default=64)
    add("--size", type=int, default=224, help="of images, while learning and for kNN")
    add("--classes", type=Path, metavar="PATH", help="images in a folder a class, for kNN")
    add("--masks", type=Path, metavar="FOLDER", help="images/ and labels/, for the dense probe")
    add("--limit", type=int, default=0, help="images of each of these, at most")
    add("--beside", action="append", default=[], metavar="MODEL", help="measured as well; may be repeated")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    budget = Budget(arguments.teacher, arguments.size, arguments.batch, arguments.steps)
    library = lightly_train()
    images = exported_images(arguments.data, arguments.output)
    teacher = teacher_weights(budget, library, arguments.output / "teacher.pt")
    students = [
        learned(name, images, teacher, budget, library, arguments.output / name)
        for name in arguments.student or STUDENTS
    ]
    adapters = [encoder_adapter(name) for name in arguments.beside]
    adapters += [adapter_of(student, budget) for student in students]
    figures = _figures(adapters, arguments.classes, arguments.masks, arguments.limit)
    seconds = {student.network: student.seconds for student in students}
    stored = {"lightly-train": str(library.__version__), "seconds of a step": seconds, "figures": figures}
    atomic_write(arguments.output / "figures.json", (json.dumps(stored, indent=2) + "\n").encode())
    rows = [(name, *(row.get(figure) for figure in FIGURES)) for name, row in figures.items()]
    title = f"Students of lightly-train {library.__version__}"
    print(markdown(Outcome({}, [Table(title, ("encoder", *FIGURES), rows)])))


def lightly_train() -> ModuleType:
    """The library, which then tells nobody of its use. Raises PerceptionError where it is not installed."""
    os.environ.setdefault("LIGHTLY_TRAIN_EVENTS_DISABLED", "1")
    try:
        return importlib.import_module("lightly_train")
    except ImportError as error:
        raise PerceptionError(
            f"lightly-train cannot be imported ({error}); make an environment of its own that has this "
            "package too, and there `pip install lightly-train`"
        ) from error


def exported_images(data: Sequence[Path], output: Path) -> Path:
    """The folder of the images that `distill` would learn from, without those that it keeps back.

    Raises:
        PerceptionError: There are none, or one cannot be read.
    """
    # The split is by the images alone: a teacher and a student must only be named.
    recipe = distillation_recipe(list(data), teachers="dinov2-s14", student="resnet18", output=output)
    images: Images = open_data(recipe).learned
    folder, noted = output / "images", output / "images.json"
    if noted.is_file() and json.loads(noted.read_text()) == len(images):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(len(images)):
        pixels: Tensor = images[number]["image"]
        save_image(folder / f"{number:06d}.png", pixels.permute(1, 2, 0).numpy())
    atomic_write(noted, json.dumps(len(images)).encode())
    logger.info("%d images in %s", len(images), folder)
    return folder


def teacher_weights(budget: Budget, library: ModuleType, path: Path) -> Path:
    """Writes our teacher's weights in the names of DINOv2, and tests that they give our features there.

    Raises:
        PerceptionError: They do not.
    """
    tower = load_dino(budget.teacher)
    # The authors' names are timm's; what stands for hidden patches has no part in features.
    state = tower.vit.state_dict() | {"mask_token": torch.zeros(1, tower.dim)}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    helpers = importlib.import_module(f"{library.__name__}._models.package_helpers")
    wrapped = helpers.get_wrapped_model(
        model=TEACHERS[budget.teacher], num_input_channels=3, model_args=TEACHER_ARGUMENTS, load_weights=False
    )
    wrapped.get_model().load_state_dict(state)
    wrapped.make_teacher()
    image = torch.randn(1, 3, budget.side, budget.side, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, theirs = tower(image), wrapped.eval().forward_features(image)
    apart = max(
        float((ours.tokens - theirs["features"].permute(0, 2, 3, 1)).abs().max()),
        float((ours.cls - theirs["cls_token"]).abs().max()),
    )
    logger.info("features of its teacher and of ours differ by %.1e", apart)
    if not apart < NEAR:
        raise PerceptionError(
            f"the features of '{budget.teacher}' in lightly-train {library.__version__} differ from ours by "
            f"{apart:.1e}, so its students would have another teacher; use version 0.18.0"
        )
    return path


def learned(
    network: str, images: Path, teacher: Path, budget: Budget, library: ModuleType, run: Path
) -> Learned:
    """A student of lightly-train, distilled unless it is there; a run that was stopped is gone on with."""
    finished, checkpoint = run / "finished", run / "checkpoints" / "last.ckpt"
    if not finished.is_file():
        count = sum(1 for _ in images.iterdir())
        if count < budget.batch:
            raise PerceptionError(f"{count} images make no batch of {budget.batch}; give more, or --batch")
        begun = checkpoint.is_file()
        library.pretrain(
            out=str(run),
            data=str(images),
            model=f"timm/{network}",
            method="distillation",
            method_args={
                "teacher": TEACHERS[budget.teacher],
                "teacher_args": TEACHER_ARGUMENTS,
                "teacher_weights": str(teacher),
            },
            transform_args={"image_size": (budget.side, budget.side)},
            batch_size=budget.batch,
            epochs=math.ceil(budget.steps / (count // budget.batch)),
            trainer_args={"max_steps": budget.steps},
            precision="32-true",
            resume_interrupted=begun,
            overwrite=not begun,
        )
        finished.touch()
    return Learned(network, run / "exported_models" / "exported_last.pt", _seconds(run))


def _seconds(run: Path) -> float:
    """Of a step, waiting for its images included: the median of the steps that its log tells; NaN of none."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    steps = [row[TIME] + row["profiling/data_time"] for row in rows if TIME in row]
    return statistics.median(steps) if steps else math.nan


def adapter_of(student: Learned, budget: Budget) -> EncoderAdapter:
    """The network that lightly-train exports.

    Its projections to the teacher's features are in no file of tensors alone, so they are not measured.
    """
    # lightly-train normalises colours as ImageNet's, whatever the network's own weights are used to.
    teacher = model_spec(budget.teacher)
    spec = replace(
        model_spec(f"timm:{student.network}"),
        name=f"lightly-train's {student.network}", size=budget.size, mean=teacher.mean, std=teacher.std,
    )  # fmt: skip
    tower = load_dino(spec, weights=student.weights)
    size = budget.size // spec.patch * spec.patch
    return EncoderAdapter(
        tower.model, tower.space, tower.image_embedding, size, spec.mean, spec.std, encoder=tower
    )


def _figures(
    adapters: Sequence[EncoderAdapter], classes: Path | None, masks: Path | None, limit: int
) -> dict[str, dict[str, float]]:
    """By encoder's name."""
    figures: dict[str, dict[str, float]] = {adapter.name: {} for adapter in adapters}
    outcomes: list[Outcome] = []
    if masks is not None:
        outcomes.append(compare_dense(adapters, masks, limit=limit))
    if classes is not None:
        images = evenly(open_dataset(classes, classes="folders"), limit)
        outcomes.append(compare(adapters, images, CompareSettings(tasks=("knn",))))
    for outcome in outcomes:
        for name, row in outcome.figures["encoders"].items():
            figures[name] |= {figure: float(row[figure]) for figure in FIGURES if figure in row}
    return figures


if __name__ == "__main__":
    main()
