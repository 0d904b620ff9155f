"""Recipes of the learning methods: what is learned from which images, on which network, how."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from perception_contrast.core.errors import ModelError, RecipeError
from perception_contrast.models.custom_models import checked_name
from perception_contrast_training.config.ranges import require_ranges
from perception_contrast_training.config.run_settings import CheckpointSettings, MonitorSettings, Optimisation
from perception_contrast_training.config.schema import checked, nearest, plain, read_mapping
from perception_contrast_training.data.datasets.folder_classes import AUTO, RULES
from perception_contrast_training.data.pairs.positive_pairs import PairSettings, require_sane_pairs
from perception_contrast_training.engine.trackers import Logger
from perception_contrast_training.methods.method_kind import MethodKind
from perception_contrast_training.methods.registry import METHODS, method_kind, short_name
from perception_contrast_training.methods.scaling import Scale
from perception_contrast_training.networks.backbones import BackboneSettings, has_tokens
from perception_contrast_training.networks.lora import LoraSettings

AS_IN_PAPER = -1  # where a number is expected
DEFAULTS = ("optimiser", "learning_rate", "scaling", "reference_batch", "final_rate", "weight_decay",
            "final_decay", "betas", "clip", "clip_each")  # fmt: skip


@dataclass(frozen=True)
class DataSettings:
    """path: a dataset that `data extract` made, a folder or .zip of images, or a table with captions.
    also: further ones, whose images are learned from as well.

    held_out: share that is not learned from, for figures during the run and the guard; of recordings the
    end. part, held_out_part: of a dataset that `data split` has split, in place of the share. workers:
    processes that read and make views. classes: which folders of images are classes, by the rules of
    ``data/datasets/folder_classes.py``: auto, folders or none. pairs: of a robot's frames, in place of two
    views of one image. views: where views are made: by the "workers", or on the "device" that learns, from
    the same draws; "auto" is the device where that is a GPU. reader: of another package that reads the path
    (``reader_kind``), "" for ours.
    """

    path: str = ""
    reader: str = ""
    also: tuple[str, ...] = ()
    part: str = ""
    held_out_part: str = ""
    held_out: float = 0.1
    workers: int = 2
    classes: str = AUTO
    pairs: PairSettings = field(default_factory=PairSettings)
    views: Literal["auto", "workers", "device"] = "auto"


@dataclass(frozen=True)
class HeldOutSettings:
    """every: steps between two looks at held-out images, 0 for none. images: that are looked at, at
    most, on each side."""

    every: int = 500
    images: int = 2000


@dataclass(frozen=True)
class GuardSettings:
    """share: of a figure that adapting may lose before an export is refused."""

    share: float = 0.02


@dataclass(frozen=True)
class _CommonKeys:
    """The keys of a recipe whose defaults do not depend on its method."""

    method: str = ""
    name: str = ""
    output: str = ""
    seed: int = 0
    epochs: float = 100.0
    as_written: bool = False
    licence: str = ""
    tensorboard: bool = True
    loggers: tuple[Logger, ...] = ()
    backbone: BackboneSettings = field(default_factory=BackboneSettings)
    lora: LoraSettings = field(default_factory=LoraSettings)
    data: DataSettings = field(default_factory=DataSettings)
    checkpoints: CheckpointSettings = field(default_factory=CheckpointSettings)
    monitors: MonitorSettings = field(default_factory=MonitorSettings)
    measure: HeldOutSettings = field(default_factory=HeldOutSettings)
    guard: GuardSettings = field(default_factory=GuardSettings)


@dataclass(frozen=True, kw_only=True)
class PretrainRecipe(_CommonKeys):
    """Everything that settles a run. options: of the method, its own dataclass.

    epochs: passes over the data, where ``optimisation.steps`` is 0. licence: of what is learned, "" for
    what follows from the weights it started from. as_written: leaves the method's options as they stand,
    where few data would make them smaller. loggers: experiment trackers that get the figures too
    (``engine/trackers.py``), beside TensorBoard.
    """

    options: Any
    optimisation: Optimisation = field(default_factory=Optimisation)

    @property
    def kind(self) -> MethodKind:
        return method_kind(self.method)

    @property
    def own_words(self) -> bool:
        """Whether the text tower is the one that the backbone's model has."""
        return bool(self.kind.texts and self.options.text.tower == "own")

    @property
    def adapts(self) -> bool:
        """Whether it started from weights, which can be made worse."""
        return bool(self.backbone.pretrained or self.backbone.weights)


_KEYS = {one.name: one for one in dataclasses.fields(PretrainRecipe)}


def read_recipe(path: Path, changes: Sequence[str] = ()) -> PretrainRecipe:
    """A recipe's file with changes "key=value". Raises RecipeError that names the nearest valid key."""
    return recipe_of(read_mapping(path, changes))


def is_pretraining(stored: Mapping[str, Any]) -> bool:
    """Whether a recipe's mapping is for a learning method; the household model's heads have their own."""
    return stored.get("method", "alignment") not in ("alignment", "rescoring")


def recipe_of(stored: Mapping[str, Any]) -> PretrainRecipe:
    """A mapping as a recipe: what it does not say is as the method's authors published it."""
    method = stored.get("method")
    if not isinstance(method, str):
        raise RecipeError(f"method {method!r} is unknown{nearest(str(method), list(METHODS))}")
    kind = method_kind(method)
    for key in stored:
        if key not in _KEYS:
            raise RecipeError(f"unknown key '{key}'{nearest(str(key), list(_KEYS))}")
    rest = {key: value for key, value in stored.items() if key not in ("options", "optimisation")}
    common = checked(_CommonKeys, rest)
    options: Any = checked(kind.settings, stored.get("options", {}), "options.")
    recipe = PretrainRecipe(
        **{one.name: getattr(common, one.name) for one in dataclasses.fields(common)},
        options=options,
        optimisation=_optimisation(stored.get("optimisation", {}), kind, common.backbone),
    )
    _require_sane(recipe)
    short = short_name(recipe.method)
    return replace(recipe, name=recipe.name or short, output=recipe.output or f"runs/{short}")


def _optimisation(stored: Any, kind: MethodKind, backbone: BackboneSettings) -> Optimisation:
    """What is not said is as published: for the optimiser that is said, else for the kind of network."""
    found = checked(Optimisation, stored, "optimisation.")
    paper_defaults = kind.paper_defaults
    if "optimiser" in stored:
        paper_defaults = kind.defaults_for(found.optimiser)
    elif kind.vit_defaults is not None and has_tokens(backbone):
        paper_defaults = kind.vit_defaults
    missing = [key for key in DEFAULTS if key not in stored]
    return replace(found, **{key: getattr(paper_defaults, key) for key in missing})


def _require_sane(recipe: PretrainRecipe) -> None:
    require_ranges(as_mapping(recipe))
    try:
        checked_name(recipe.name or short_name(recipe.method))
    except ModelError as error:
        raise RecipeError(f"'name': {error}") from error
    if not 0 <= recipe.data.held_out < 1:
        raise RecipeError("'data.held_out' must be at least 0 and less than 1")
    if recipe.data.held_out_part and not recipe.data.part:
        raise RecipeError(
            "'data.held_out_part' names what is kept back; name what is learned from: data.part"
        )
    if recipe.data.classes not in RULES:
        raise RecipeError(f"'data.classes' must be one of {', '.join(RULES)}, not '{recipe.data.classes}'")
    kind = recipe.kind
    require_sane_pairs(recipe.data.pairs, recipe.method, paired=kind.paired, negatives=kind.negatives)
    if recipe.optimisation.steps == 0 and recipe.epochs <= 0:
        raise RecipeError("give 'optimisation.steps', or 'epochs' above 0")
    if recipe.lora.rank and not recipe.adapts:
        raise RecipeError(
            "LoRA adds a little to weights that are there; set backbone.pretrained: true, or lora.rank: 0"
        )


def settled(recipe: PretrainRecipe, images: int, size: int) -> tuple[PretrainRecipe, list[str]]:
    """The recipe with every number chosen, for ``images`` to learn from of ``size`` pixels.

    Also what was chosen and why, a sentence each. Choosing again chooses nothing new.
    """
    old, kind = recipe.optimisation, recipe.kind
    batches = max(1, images // max(1, old.batch))
    steps = old.steps or max(1, round(recipe.epochs * batches))
    passes = f"{recipe.epochs:g} passes of {batches} batches over {images} images"
    sentences = [] if old.steps else [f"{steps} steps: {passes}"]
    warm_up = old.warm_up
    if warm_up == AS_IN_PAPER:
        published = kind.defaults_for(old.optimiser)
        wanted = published.warm_up_steps or round(published.warm_up_epochs * batches)
        warm_up = min(wanted, max(1, steps // 10))
        sentences += [f"warm_up is {warm_up} steps, the published {wanted} or a tenth of the run"]
    optimisation = replace(old, steps=steps, warm_up=warm_up)
    options = recipe.options
    if not recipe.as_written:
        scale = Scale(images, old.batch, steps / batches, size)
        options, more = kind.fit_to_data(options, scale)
        sentences += more
    return replace(recipe, optimisation=optimisation, options=options, as_written=True), sentences


def as_mapping(recipe: PretrainRecipe) -> dict[str, Any]:
    """What ``recipe_of`` reads as the same recipe."""
    stored: dict[str, Any] = plain(dataclasses.asdict(recipe))
    return stored
