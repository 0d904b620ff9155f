"""Distillation by one call: recordings and images in, a model that nodes serve out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import require_writable
from perception_contrast.recordings.storage import is_recording

if TYPE_CHECKING:
    from perception_contrast_training.config.pretraining_recipe import PretrainRecipe

logger = logging.getLogger(__name__)

FINER = 16  # pixels of a cell of a convolutional student, whose last map has cells of 32
Paths = str | Path | Sequence[str | Path]


class StoppedError(PerceptionError):
    """The run was stopped; everything that it learned is saved."""


def distill(
    data: Paths,
    *,
    teachers: str | Sequence[str] = "dinov2-s14",
    student: str = "resnet18",
    output: str | Path = "runs/distill",
    to: str | Path | None = None,
    name: str = "",
    size: int = 0,
    steps: int = 0,
    changes: Sequence[str] = (),
) -> Path:
    """Trains a small network to give the features of large ones, on images without labels.

    The same call resumes a run that was stopped.

    Args:
        data: Datasets, folders or .zips of images, tables, or recordings, whose frames are extracted first.
        teachers: Models of the registry or folders of exports; the student learns several at once.
        student: A ViT, ResNet, ConvNeXt or MobileNet of timm.
        output: The run's folder.
        to: Folder for the exported student; None for ``model`` within ``output``.
        name: Model id of the student; "" for ``student-`` and its network.
        size: Side of the student's images in pixels; 0 for the network's own.
        steps: Optimiser steps; 0 for the recipe's number of passes.
        changes: "key=value" of the recipe ``distill_scratch``; they override the other arguments.

    Returns:
        The exported folder, which can be given wherever a model's name can.

    Raises:
        StoppedError: Ctrl-C stopped the run; what was learned is saved.
        PerceptionError: A teacher, a student or data cannot be used.
    """
    from perception_contrast_training.engine.pretraining import resume, start
    from perception_contrast_training.engine.resume import checkpoints_of
    from perception_contrast_training.export.export_run import export_run, require_replaceable

    folder = Path(output)
    target = Path(to) if to is not None else folder / "model"
    require_replaceable(target)
    require_writable(target)
    if checkpoints_of(folder).steps():
        _require_same(folder, _recipe_of(teachers, student, output, name, size, steps, changes))
        logger.info("going on with the run in %s", folder)
        ended = resume(folder, steps)
    else:
        recipe = distillation_recipe(
            data, teachers=teachers, student=student, output=output, name=name, size=size, steps=steps,
            changes=changes,
        )  # fmt: skip
        ended = start(recipe)
    if ended == "interrupted":
        raise StoppedError(f"stopped and saved in '{folder}'; the same call goes on with it")
    return export_run(folder, target, replace=True).folder


def distillation_recipe(
    data: Paths,
    *,
    teachers: str | Sequence[str],
    student: str,
    output: str | Path,
    name: str = "",
    size: int = 0,
    steps: int = 0,
    changes: Sequence[str] = (),
) -> PretrainRecipe:
    """The recipe ``distill_scratch`` with what is said here; recordings among the data are extracted.

    Raises:
        PerceptionError: As ``distill``.
    """
    from perception_contrast_training.config.pretraining_recipe import recipe_of

    stored = _recipe_of(teachers, student, output, name, size, steps, changes)
    paths = [data] if isinstance(data, str | Path) else list(data)
    if not paths:
        raise PerceptionError("there is nothing to learn from; name images, datasets or recordings")
    first, *others = [_dataset(Path(path), Path(output)) for path in paths]
    stored["data"] |= {"path": first, "also": others}
    return recipe_of(stored)


def _recipe_of(
    teachers: str | Sequence[str],
    student: str,
    output: str | Path,
    name: str,
    size: int,
    steps: int,
    changes: Sequence[str],
) -> dict[str, Any]:
    """The recipe as a mapping, without its data. Raises PerceptionError."""
    from perception_contrast_training.config.pretraining_recipe import recipe_of
    from perception_contrast_training.config.recipe_keys import require_known_keys
    from perception_contrast_training.config.schema import read_mapping
    from perception_contrast_training.config.shipped_recipes import recipe_path
    from perception_contrast_training.networks.backbones import BackboneSettings, has_tokens

    stored = read_mapping(recipe_path("distill_scratch"), changes)
    require_known_keys(stored)
    said = {change.partition("=")[0].strip() for change in changes}
    backbone = stored["backbone"]
    if "backbone.name" not in said:
        backbone["name"] = student
    if "backbone.stride" not in said:
        plain = has_tokens(BackboneSettings(name=backbone["name"])) or "/" in backbone["name"]
        backbone["stride"] = 0 if plain else FINER
    if "backbone.size" not in said:
        backbone["size"] = size
    if "options.teachers" not in said:
        stored["options"]["teachers"] = [teachers] if isinstance(teachers, str) else list(teachers)
    stored["output"] = str(output)
    if "name" not in said:
        stored["name"] = name or f"student-{Path(backbone['name']).name.split('.')[0].lower()}"
    if steps:
        stored.setdefault("optimisation", {})["steps"] = steps
    recipe_of(stored)  # a mistake is told before recordings are read
    return stored


def _require_same(folder: Path, asked: Mapping[str, Any]) -> None:
    """Refuses to go on with a run of another student or of other teachers, as if it were the one asked."""
    from perception_contrast_training.engine.resume import stored_recipe

    before = stored_recipe(folder)
    for where, key, option in (
        ("options", "teachers", "--teacher"),
        ("backbone", "name", "--student"),
        ("backbone", "size", "--size"),
    ):
        old, new = before.get(where, {}).get(key), asked[where].get(key)
        if new and old != new:  # 0 is the network's own size, which the run has chosen
            told, wanted = (", ".join(one) if isinstance(one, list) else one for one in (old, new))
            raise PerceptionError(
                f"the run in '{folder}' has {option} {told}, not {wanted}; give the same command to go on "
                "with it, or another --output"
            )


def _dataset(path: Path, output: Path) -> str:
    """The path itself, or of a recording the dataset of its frames."""
    if not path.exists():
        raise PerceptionError(f"data '{path}' does not exist; check the path")
    if not is_recording(path):
        return str(path)
    from perception_contrast_training.data.bags.extract import extract
    from perception_contrast_training.data.bags.options import ExtractOptions
    from perception_contrast_training.data.loading.progress import Bars

    target = output / "frames" / path.stem
    with Bars("images") as bars:
        found = extract([path], target, ExtractOptions(), report=bars.show_recording)
    if not found.frames:
        raise PerceptionError(
            f"no frame of '{path}' was kept; extract it with `perception-contrast data extract`"
        )
    logger.info("%d frames of %s", found.frames, path)
    return str(found.dataset)
