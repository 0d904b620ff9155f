"""Training in one call of Python: the recipes, the trainer and the export of `perception-contrast train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import ModelError, RecipeError
from perception_contrast.core.plugins import allow_modules
from perception_contrast.models.registry import model_spec
from perception_contrast_training.config.pretraining_recipe import PretrainRecipe, recipe_of
from perception_contrast_training.config.recipe_keys import texts_in
from perception_contrast_training.config.schema import put_key, read_mapping
from perception_contrast_training.config.shipped_recipes import recipe_path, shipped
from perception_contrast_training.engine import pretraining
from perception_contrast_training.engine.journal import LOG, read_log
from perception_contrast_training.engine.training_loop import EndReason
from perception_contrast_training.export.export_run import export_run
from perception_contrast_training.methods.registry import short_name

EXPORTED = "model"  # folder of the exported model in a run's output folder


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training call.

    Attributes:
        run: The output folder, with recipe, log and checkpoints.
        ended: "finished", or "interrupted" by Ctrl-C: call again with ``resume=True``.
        model: Folder of the exported model, which nodes take as ``model``; None if none was exported.
        figures: The last figure of each name in the log: losses, and figures of held-out images.
        space: Embedding space of the exported model; "" without one.
        worse: Figures of held-out images by which an adapted encoder fell by more than ``guard.share``.
    """

    run: Path
    ended: EndReason
    model: Path | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    space: str = ""
    worse: tuple[str, ...] = ()


def pretrain(
    data: str | Path,
    method: str = "dinov2",
    output: str | Path = "",
    *,
    recipe: str | Path = "",
    resume: bool = False,
    export: bool = True,
    **changes: Any,
) -> TrainingResult:
    """Trains an encoder from random weights and exports it.

    Args:
        data: As ``data.path`` of a recipe.
        method: A learning method, also one of another package (``my_package.vicreg:KIND``).
        output: The run's folder; "" for ``runs/`` and the method's name.
        recipe: A recipe's file or name; "" for the method's ``*_scratch`` or the published settings.
        resume: Continue the run in ``output`` with its own recipe; ``changes`` must be left out.
        export: Whether to export the best checkpoint into ``output``/model.
        **changes: Keys of the recipe. ``optimisation={"steps": 100}`` changes one value of several. Keys
            below ``data`` need the form ``**{"data.held_out": 0.2}``, like ``--set`` of the command.

    Returns:
        The folders and the last figures.

    Raises:
        PerceptionError: As the commands `train run`, `train resume` and `train export`.

    Example:
        >>> result = pretrain("photos/", "simclr", "runs/mine", epochs=20)  # doctest: +SKIP
        >>> result.model  # doctest: +SKIP
        PosixPath('runs/mine/model')
    """
    base = _base(recipe, f"{short_name(method)}_scratch", method)
    return _trained(base, data, method, output, resume, export, changes, accept_regression=False)


def finetune(
    data: str | Path,
    model: str = "dinov2-s14",
    method: str = "",
    output: str | Path = "",
    *,
    lora: bool = True,
    recipe: str | Path = "",
    resume: bool = False,
    export: bool = True,
    accept_regression: bool = False,
    **changes: Any,
) -> TrainingResult:
    """Continues from the weights of an encoder, and exports it unless it became worse on held-out images.

    Args:
        data: As of ``pretrain``.
        model: A model of images ("dinov2-s14"), of images and words ("clip-vit-b16"), ``timm:*``, or the
            folder of an exported one.
        method: A learning method; "" for dinov2, and for a model with words the loss that trained it (clip or
            siglip).
        output: As of ``pretrain``.
        lora: Train low-rank additions (Hu et al., LoRA, ICLR 2022) that are merged at export; False trains
            all weights.
        recipe: As of ``pretrain``; "" for ``*_lora`` or ``*_adapt``.
        resume: As of ``pretrain``.
        export: As of ``pretrain``.
        accept_regression: Export an encoder even if it became worse; its card says so.
        **changes: As of ``pretrain``.

    Returns:
        As of ``pretrain``.

    Raises:
        RegressionError: The encoder became worse and was not exported; the run stays.
        PerceptionError: As of ``pretrain``.

    Example:
        >>> finetune("photos/", "dinov2-s14", output="runs/kitchen", name="kitchen")  # doctest: +SKIP
    """
    way = "lora" if lora else "adapt"
    try:
        spec = model_spec(model)
        words = not spec.spatial and spec.knows_words
        sigmoid = spec.family == "siglip"
    except ModelError:  # an architecture of timm, or a mistake that the trainer tells
        words = sigmoid = False
    method = method or (("siglip" if sigmoid else "clip") if words else "dinov2")
    named = f"pair_{way}" if words and method in ("clip", "siglip") else f"{short_name(method)}_{way}"
    base = _base(recipe, named, method)
    put_key(base, "backbone.name", model)
    put_key(base, "backbone.pretrained", True)
    if not lora:
        put_key(base, "lora.rank", 0)
    elif not base.get("lora", {}).get("rank"):
        put_key(base, "lora.rank", 8)
    return _trained(base, data, method, output, resume, export, changes, accept_regression)


def _base(recipe: str | Path, named: str, method: str) -> dict[str, Any]:
    """The mapping of the recipe that is asked for, of the one that comes along, or of the method alone."""
    if recipe or named in shipped():
        base = read_mapping(recipe_path(str(recipe or named)))
        # A model's id and an output folder of the recipe's own would be shared by all that use it.
        return base if recipe else {k: v for k, v in base.items() if k not in ("name", "output")}
    return {"method": method}


def _trained(
    base: dict[str, Any],
    data: str | Path,
    method: str,
    output: str | Path,
    resume: bool,
    export: bool,
    changes: Mapping[str, Any],
    accept_regression: bool,
) -> TrainingResult:
    put_key(base, "method", method)
    put_key(base, "data.path", str(data))
    if output:
        put_key(base, "output", str(output))
    _change(base, changes)
    allow_modules(texts_in(base))  # who wrote the program wrote their names
    recipe = recipe_of(base)
    folder = Path(recipe.output)
    if resume:
        if changes:
            raise RecipeError(
                f"resume=True goes on by the recipe in '{folder}'; leave out {', '.join(changes)}, or choose "
                "another output"
            )
        ended = pretraining.resume(folder, data=str(data))
    else:
        ended = pretraining.start(recipe)
    return _result(recipe, folder, ended, export, accept_regression)


def _result(
    recipe: PretrainRecipe, folder: Path, ended: EndReason, export: bool, accept_regression: bool
) -> TrainingResult:
    figures: dict[str, float] = {}
    for line in read_log(folder / LOG):
        figures |= {name: value for name, value in line.items() if isinstance(value, float)}
    if ended != "finished" or not export:
        return TrainingResult(folder, ended, figures=figures)
    done = export_run(
        folder, folder / EXPORTED, data=recipe.data.path, replace=True, accept_regression=accept_regression
    )
    worse = () if done.verdict is None else tuple(done.verdict.worse)
    return TrainingResult(folder, ended, done.folder, figures, done.space, worse)


def _change(stored: dict[str, Any], changes: Mapping[str, Any], before: str = "") -> None:
    """Puts values into a recipe's mapping; a mapping changes what it names and leaves the rest."""
    for key, value in changes.items():
        if isinstance(value, Mapping):
            _change(stored, value, f"{before}{key}.")
        else:
            put_key(stored, f"{before}{key}", list(value) if isinstance(value, tuple) else value)
