"""From a run to a folder that nodes serve: safetensors, ONNX, a card for them and one for people."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import ModelError, PerceptionError
from perception_contrast.models.custom_models import checked_name
from perception_contrast.models.folder_models import CARD, WEIGHTS, WORDS
from perception_contrast.models.licences import UNKNOWN_LICENCE
from perception_contrast.models.registry import MODELS, model_spec
from perception_contrast.models.specs import Family, ModelSpec
from perception_contrast.models.timm_models import TIMM
from perception_contrast_training.config.pretraining_recipe import PretrainRecipe, as_mapping
from perception_contrast_training.data.datasets.frame_lists import read_frame_lists
from perception_contrast_training.engine.load_run import TrainedRun, load_run
from perception_contrast_training.engine.pretraining_data import open_data, with_data_at
from perception_contrast_training.engine.regression_guard import (
    Verdict,
    compare_with_start,
    require_no_regression,
)
from perception_contrast_training.evaluation.report import Outcome, markdown
from perception_contrast_training.export.export_files import Written, served_by, write_model
from perception_contrast_training.export.student_export import licence_after, student_spec
from perception_contrast_training.methods.distill import Distill
from perception_contrast_training.methods.registry import short_name
from perception_contrast_training.networks.backbones import Backbone
from perception_contrast_training.networks.two_towers import TwoTowers

README = "README.md"
FIGURES = "figures.json"


@dataclass(frozen=True)
class Exported:
    """folder: where it lies. space: of its vectors. cosines: of the ONNX files' outputs with torch's.

    shared: the space of vectors that are compared with words, "" where it learned none.
    """

    folder: Path
    space: str
    verdict: Verdict | None
    cosines: Mapping[str, float]
    shared: str = ""


@dataclass(frozen=True)
class ImageCounts:
    """How many images a run learned from, and how many it kept back."""

    learned: int
    held: int


def export_run(
    run: Path,
    folder: Path,
    *,
    name: str = "",
    best: bool = True,
    step: int = 0,
    accept_regression: bool = False,
    replace: bool = False,
    data: str = "",
) -> Exported:
    """Exports a run's encoder, after the guard has compared it with what it started from.

    name: the model's id, the recipe's name unless given. data: where the images are now, "" for where they
    were; an encoder from scratch, which the guard has nothing to compare with, needs none. The folder
    appears when it is whole. Raises RegressionError, PerceptionError for a folder that is there already
    (unless ``replace``) or that holds no model, ModelError for a network that nodes cannot serve.
    """
    if folder.exists() and not replace:
        raise PerceptionError(f"'{folder}' exists already; choose another, or replace it with --replace")
    require_replaceable(folder)
    trained = load_run(run, best=best, step=step)
    spec = spec_of(trained, name)
    lists = read_frame_lists(run)
    verdict, counts = None, None if lists is None else ImageCounts(len(lists.learned), len(lists.held))
    if trained.recipe.adapts or counts is None:
        images = open_data(with_data_at(trained.recipe, data), lists, exact=False)
        counts = counts or ImageCounts(len(images.learned), len(images.held) if images.held else 0)
        verdict = compare_with_start(trained, images)
    require_no_regression(verdict, accepted=accept_regression)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        side = trained.backbone.size // spec.patch * spec.patch
        written = write_model(part, spec, served_by(trained), side)
        _write_about(part, trained, spec, written, counts, verdict)
        part.chmod(0o755)
        _put(part, folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return Exported(folder, written.space, verdict, written.cosines, written.shared)


def require_replaceable(folder: Path) -> None:
    """Refuses to put an export in the place of anything but an exported model or an empty folder.

    Raises:
        PerceptionError: It is a file, or a folder with other things.
    """
    if not folder.exists() or (folder / CARD).is_file():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise PerceptionError(
            f"'{folder}' is there and holds no exported model (it has no {CARD}), so it is not replaced; "
            "name a folder that does not exist yet"
        )


def _put(part: Path, folder: Path) -> None:
    """Gives the folder its name; an old one goes only when the new one is ready."""
    if not folder.exists():
        part.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".old", dir=folder.parent))
    folder.rename(old / folder.name)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def spec_of(trained: TrainedRun, name: str = "") -> ModelSpec:
    """How a run's encoder is served. Raises ModelError for a name that is another model's."""
    recipe, backbone = trained.recipe, trained.backbone
    chosen = checked_name(name or recipe.name)
    if chosen in MODELS:
        raise ModelError(f"'{chosen}' is a model already; give another name with --name")
    parent = parent_of(recipe)
    licence = recipe.licence or (parent.licence if parent else UNKNOWN_LICENCE)
    if isinstance(trained.method, Distill) and not recipe.licence:
        licence = licence_after([*recipe.options.teachers, *([recipe.backbone.name] if parent else [])])
    if isinstance(backbone, TwoTowers):
        return replace(
            backbone.spec, name=chosen, licence=licence, description=_description(recipe, parent),
            hub=None, wheel=None, file="", sha256="", beside=(), words=None,
        )  # fmt: skip
    spec = ModelSpec(
        name=chosen,
        family=_family(backbone, parent),
        arch=backbone.architecture.name,
        patch=int(backbone.patch),
        dim=backbone.dim,
        size=backbone.architecture.options.get("img_size", backbone.size),
        mean=backbone.mean,
        std=backbone.std,
        licence=licence,
        description=_description(recipe, parent),
        millions=round(sum(p.numel() for p in backbone.network.parameters()) / 1e6, 1),
        options=tuple(sorted(backbone.architecture.served.items())),
    )
    if isinstance(trained.method, Distill):
        return student_spec(spec, trained.method, backbone.antialias)
    return spec


def parent_of(recipe: PretrainRecipe) -> ModelSpec | None:
    """The model whose weights it started from."""
    if not recipe.adapts:
        return None
    name = recipe.backbone.name
    try:
        return model_spec(name)
    except ModelError:
        return model_spec(TIMM + name)


def _family(backbone: Backbone, parent: ModelSpec | None) -> Family:
    """How positions are resampled follows from it: without antialiasing for DINOv2 alone."""
    if parent is not None and parent.family != "student":
        return parent.family
    return "timm" if backbone.antialias else "dinov2"


def _description(recipe: PretrainRecipe, parent: ModelSpec | None) -> str:
    method = short_name(recipe.method)
    how = "LoRA, merged" if recipe.lora.rank else "all weights"
    if recipe.own_words and (recipe.backbone.frozen or recipe.kind.locks):
        how += " of its words"
    elif recipe.own_words and recipe.options.text.frozen:
        how += " of its images"
    if recipe.method == "distill":
        teachers = ", ".join(Path(name).name for name in recipe.options.teachers)
        begun = f"{parent.name} ({how})" if parent else recipe.backbone.name
        return f"{begun} distilled from {teachers} on {Path(recipe.data.path).name}"
    if parent is None:
        return f"{method} from scratch on {Path(recipe.data.path).name}"
    return f"{parent.name} adapted by {method} ({how}) to {Path(recipe.data.path).name}"


def _write_about(
    folder: Path,
    trained: TrainedRun,
    spec: ModelSpec,
    written: Written,
    counts: ImageCounts,
    verdict: Verdict | None,
) -> None:
    figures: dict[str, Any] = {
        "space": written.space,
        "space shared with words": written.shared or None,
        "step": trained.step,
        "recipe": as_mapping(trained.recipe),
        "pictures": {"learned from": counts.learned, "held out": counts.held},
        "guard": None if verdict is None else verdict.stored(),
    }
    atomic_write(folder / FIGURES, (json.dumps(figures, indent=2) + "\n").encode())
    atomic_write(folder / README, model_card(trained, spec, written, counts, verdict).encode())


def model_card(
    trained: TrainedRun, spec: ModelSpec, written: Written, counts: ImageCounts, verdict: Verdict | None
) -> str:
    """For people: what it is, what it was made of and how good it is."""
    recipe, parent = trained.recipe, parent_of(trained.recipe)
    rows = {
        "space": f"`{written.space}`"
        + (f"; shared with words `{written.shared}`" if written.shared not in ("", written.space) else ""),
        "what": spec.description,
        "network": f"{spec.arch}, {spec.millions:g} million parameters, patch {spec.patch}, "
        f"{spec.dim} channels",
        "pictures": f"{counts.learned} learned from, {counts.held} kept back ({Path(recipe.data.path).name})",
        "method": f"{recipe.method}, {trained.step} steps of {recipe.optimisation.batch} images, "
        f"{recipe.optimisation.optimiser}, learning rate {recipe.optimisation.learning_rate:g}",
        "licence": spec.licence,
        "started from": "random weights" if parent is None else f"{parent.name}, licence {parent.licence}",
    }
    lines = [f"# {spec.name}", "", *(f"- **{key}**: {value}" for key, value in rows.items())]
    if parent is not None and parent.warning:
        lines.append(f"- **note**: {parent.warning}")
    lines += ["", _guarded(verdict, recipe), "", "## Use", "", "```"]
    distilled = spec.family == "student"
    role = "language_model" if written.shared else "model"
    names = "open_clip's names, both towers" if recipe.own_words and not spec.spatial else "timm's names"
    words = f"; `{WORDS}` has its words" if written.shared and spec.spatial and not distilled else ""
    lines += [
        f"ros2 run perception_contrast perception_node --ros-args -p {role}:=/path/to/this/folder"
        + (" -p model:=/path/to/this/folder" if distilled and written.shared else ""),
        "perception-contrast models info /path/to/this/folder",
        "```",
        "",
        f"`{WEIGHTS}` has {names}{words}; an .onnx file runs without torch. Vectors are "
        f"compared with those of their own space alone. `{FIGURES}` holds the recipe and all figures.",
    ]
    return "\n".join(lines) + "\n"


def _guarded(verdict: Verdict | None, recipe: PretrainRecipe) -> str:
    if verdict is None:
        why = "it started from random weights" if not recipe.adapts else "no images were kept back"
        return f"There is nothing to compare it with: {why}."
    text = markdown(Outcome({}, [verdict.table()], notes=verdict.sentences()))
    if not verdict.judged:
        return text + "\n\nThe data has neither labels, captions nor stamps, so nothing judges these figures."
    if verdict.regressed:
        return text + f"\n\n**Worse than before** in {', '.join(verdict.worse)}, and exported all the same."
    return text + f"\n\nNo figure fell by more than {verdict.share:.0%} of what it was."
