"""`perception-contrast train --recipe` of the aligned household model: from a recipe to its head."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast.encoders.alignment_head import (
    TRAINED_ABSENT,
    AlignmentHead,
    load_alignment,
    save_alignment,
)
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast_training.config.alignment_recipe import AlignmentRecipe, load_alignment_recipe
from perception_contrast_training.household.learned_facts import NAMES, trained_absent, with_inherited
from perception_contrast_training.household.scene_shards import Shard, load_shard
from perception_contrast_training.household.training_sets import TrainingSets, sets_of
from perception_contrast_training.household.words import known_names, remembered_phrases

IMAGES_FILE = "images.safetensors"
STEPS = ("train", "calibrate", "evaluate")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast train",
        description="Renders scenes, fits a head on them, calibrates it and measures it on unseen scenes.",
    )
    parser.add_argument("--recipe", type=Path, required=True, help="YAML file; see training/recipes")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one value")
    parser.add_argument(
        "--only",
        choices=(*STEPS, "images", "baselines", "instances", "ceiling"),
        action="append",
        help="run this step alone (may be repeated); images: what the training images look like, by which a "
        "node tells a stream of another kind; baselines: an untrained and a closed-form head; "
        "instances: what tells touching things apart; ceiling: how often a linear layer names a thing by its "
        "exact mask, which is about what the image tower's features allow",
    )
    parser.add_argument("--head", type=Path, help="head to calibrate or evaluate instead of the recipe's")
    parser.add_argument(
        "--zoom", type=Path, metavar="HEAD", help="evaluate with a second look too, by this zoom head"
    )
    parser.add_argument("--offline", action="store_true", help="never touch a network")
    return parser


def served_pipeline(head: Path, zoom: Path, recipe: AlignmentRecipe, offline: bool) -> Pipeline:
    """The pipeline that the nodes run, with a head and the zoom head that was fitted to its words."""
    from perception_contrast.encoders.dinov2 import load_dino
    from perception_contrast.encoders.household_lit import load_household_lit
    from perception_contrast.encoders.load_encoders import Encoders
    from perception_contrast.text.sentence_encoder import load_minilm

    tower = load_dino(recipe.image_tower, offline=offline, pinned=True)
    language = load_household_lit(tower, load_minilm(offline=offline), path=head, rescoring=zoom)
    return Pipeline(Encoders(tower, language, "cpu"), PipelineSettings(short_side=378))


def pipeline_with(
    head: AlignmentHead, facts: Mapping[str, str], recipe: AlignmentRecipe, offline: bool
) -> Pipeline:
    """The pipeline that the nodes run, with another head."""
    from perception_contrast.core.embedding_spaces import require_same_space
    from perception_contrast.encoders.dinov2 import load_dino
    from perception_contrast.encoders.household_lit import HouseholdLit
    from perception_contrast.encoders.load_encoders import Encoders
    from perception_contrast.text.sentence_encoder import load_minilm

    tower = load_dino(recipe.image_tower, offline=offline, pinned=True)
    require_same_space(facts.get("image_space", tower.space), tower.space, "head and image tower")
    sentences = load_minilm(offline=offline)
    require_same_space(facts.get("text_space", sentences.space), sentences.space, "head and sentence tower")
    language = HouseholdLit(tower, head, sentences, f"{recipe.name}@trial", facts)
    language.eval().requires_grad_(False)
    return Pipeline(Encoders(tower, language, "cpu"), PipelineSettings(short_side=378))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0; raises PerceptionError for what the user can mend."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = load_alignment_recipe(arguments.recipe, arguments.set)
    steps = arguments.only or STEPS
    if arguments.head and "train" in steps:
        raise PerceptionError("--head names a finished head; use it with --only calibrate or --only evaluate")
    try:
        _run(steps, recipe, arguments)
    except OSError as error:
        raise PerceptionError(f"a file cannot be read or written: {error}") from error
    return 0


def _run(steps: Sequence[str], recipe: AlignmentRecipe, arguments: argparse.Namespace) -> None:
    head: Path = arguments.head or Path(recipe.output) / "head.safetensors"
    if "train" in steps:
        from perception_contrast_training.household.alignment.alignment_training import train

        head = train(recipe, offline=arguments.offline)
    if {"calibrate", "evaluate", "instances"} & set(steps) and not head.is_file():
        raise PerceptionError(f"there is no head '{head}'; run the train step first or name one with --head")
    if "calibrate" in steps:
        calibrate_head(head, recipe, arguments.offline)
    if "evaluate" in steps:
        trained, facts, sha256 = load_alignment(head)
        if arguments.zoom:
            looked = served_pipeline(head, arguments.zoom, recipe, arguments.offline)
            _measure(f"{recipe.name}, second look", looked, recipe, arguments.offline, {"head": sha256})
        alone = pipeline_with(trained, facts, recipe, arguments.offline)
        _measure(recipe.name, alone, recipe, arguments.offline, {"head": sha256})
    if "instances" in steps:
        from perception_contrast_training.household.alignment.instance_judges import fit_judges

        trained, facts, _ = load_alignment(head)
        judges = Path(recipe.output) / "judges.json"
        fit_judges(
            pipeline_with(trained, facts, recipe, arguments.offline), judges, offline=arguments.offline
        )
    if "images" in steps:
        _fit_images(recipe, arguments.offline)
    if "ceiling" in steps:
        _measure_ceiling(recipe, arguments.offline)
    if "baselines" in steps:
        for name, other in _baselines(recipe, arguments.offline).items():
            fitted = _calibrated(other, {}, recipe, sets_of(recipe.photographs), arguments.offline)
            _measure(name, pipeline_with(other, fitted, recipe, arguments.offline), recipe, arguments.offline)


def _fit_images(recipe: AlignmentRecipe, offline: bool) -> None:
    """Writes ``images.safetensors`` beside the head, from the shards of the train step."""
    from perception_contrast.encoders.dinov2 import load_dino
    from perception_contrast.encoders.familiarity.training_images import save_training_images
    from perception_contrast_training.household.training_image_statistics import (
        described,
        fit_training_images,
    )

    tower = load_dino(recipe.image_tower, offline=offline, pinned=True)
    images = fit_training_images(Path(recipe.output), tower.space)
    path = Path(recipe.output) / IMAGES_FILE
    save_training_images(images, path)
    logging.info("%s: %s", path, described(images))


def calibrate_head(path: Path, recipe: AlignmentRecipe, offline: bool) -> None:
    """Writes the calibration of words into the head's file."""
    import torch

    from perception_contrast.text.sentence_encoder import load_minilm

    head, facts, _ = load_alignment(path)
    known = {k: v for k, v in facts.items() if k not in ("format", "config")}
    sets = sets_of(recipe.photographs)
    shown = () if sets is None else sorted(sets.names)
    words = () if sets is None else sets.words
    learned = {NAMES: json.dumps(known_names(shown)), TRAINED_ABSENT: json.dumps(trained_absent(words))}
    known |= with_inherited(known, learned)
    if recipe.only != "image":
        sentences = load_minilm(offline=offline).encode(remembered_phrases(words))
        head = head.remembering(torch.from_numpy(sentences).half().float())
    save_alignment(head, path, known | _calibrated(head, known, recipe, sets, offline))


def _calibrated(
    head: AlignmentHead,
    facts: Mapping[str, str],
    recipe: AlignmentRecipe,
    sets: TrainingSets | None,
    offline: bool,
) -> dict[str, str]:
    from perception_contrast_training.calibration.household_calibration import calibrate

    words, seen = calibrate(pipeline_with(head, facts, recipe, offline), recipe.calibration, sets, offline)
    logging.info("calibrated: %s", json.dumps(seen))
    return {
        "calibration": words.dumped(),
        "calibration_seen": json.dumps(seen),
    }


def _measure(
    name: str,
    pipeline: Pipeline,
    recipe: AlignmentRecipe,
    offline: bool,
    about: Mapping[str, str] | None = None,
) -> None:
    """Adds the figures of one head to figures.json, beside those of others."""
    from perception_contrast_training.household.alignment.household_figures import measure_all, write_figures

    path = Path(recipe.output) / "figures.json"
    found = measure_all(pipeline, recipe.evaluation, offline)
    found["photographs"] = _measured_on_photographs(pipeline, recipe)
    # Read only now: another run may have added to it meanwhile.
    figures: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    new = {**(about or {}), name: found}
    old = {key: value for key, value in figures.items() if key not in new}
    # The trained head comes first, whichever was measured first.
    write_figures(path, {**new, **old} if about else {**old, **new})
    logging.info("%s: %s", name, json.dumps(found, indent=1))


def _measured_on_photographs(pipeline: Pipeline, recipe: AlignmentRecipe) -> dict[str, Any]:
    """Figures of the test part of each set of the recipe, as ``eval --task photos`` takes them."""
    from perception_contrast_training.evaluation.readers.types import Skipped
    from perception_contrast_training.evaluation.tasks.photos import photo_figures

    sets, skipped = sets_of(recipe.photographs), Skipped()
    if sets is None:
        return {}
    found = {
        one.facts.name: photo_figures(pipeline, one, sets.naming, skipped).figures()
        for one in sets.sets.values()
    }
    for reason in skipped.files.values():
        logging.warning("left out: %s", reason)
    return found


def _measure_ceiling(recipe: AlignmentRecipe, offline: bool) -> None:
    """For each size of image: shards of one size share one grid."""
    from perception_contrast_training.household.alignment.ceiling import ceiling

    by_size: dict[str, list[Shard]] = {}
    for folder in _rendered(recipe, offline):
        by_size.setdefault(folder.name.split("_")[0], []).append(load_shard(folder))
    for size, shards in by_size.items():
        logging.info("%s: %s", size, json.dumps(ceiling(shards)))


def _rendered(recipe: AlignmentRecipe, offline: bool) -> list[Path]:
    from perception_contrast_training.household.alignment.alignment_training import shard_jobs

    folders = [job.folder for job in shard_jobs(recipe, offline) if job.folder.is_dir()]
    if not folders:
        raise PerceptionError(f"no scenes in '{recipe.output}'; run the train step first")
    return folders


def _baselines(recipe: AlignmentRecipe, offline: bool) -> dict[str, AlignmentHead]:
    from perception_contrast.text.sentence_encoder import load_minilm
    from perception_contrast_training.household.alignment.baselines import closed_form_head, untrained_head

    shards = [load_shard(folder) for folder in _rendered(recipe, offline)]
    closed_form = closed_form_head(shards, load_minilm(offline=offline), recipe.seed)
    return {"untrained head": untrained_head(recipe.seed), "closed-form map": closed_form}
