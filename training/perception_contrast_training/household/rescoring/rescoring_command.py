"""`perception-contrast train --recipe` of the rescoring head: from a recipe to a head and its figures."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from perception_contrast.core.errors import PerceptionError
from perception_contrast.encoders.rescoring_head import load_rescoring_head
from perception_contrast_training.config.rescoring_recipe import RescoringRecipe, load_rescoring_recipe
from perception_contrast_training.household.head_run import HEAD_FILE
from perception_contrast_training.household.rescoring.concepts import shown_names
from perception_contrast_training.household.rescoring.rescoring_training import (
    rendered,
    shard_jobs,
    train,
)
from perception_contrast_training.household.rescoring.word_space import load_word_space, word_head
from perception_contrast_training.household.training_sets import sets_of
from perception_contrast_training.household.words import Words

Step = Callable[[Path, RescoringRecipe, bool], None]  # head's file, recipe, offline


def _train(_: Path, recipe: RescoringRecipe, offline: bool) -> None:
    train(recipe, offline=offline)


def calibrate(file: Path, recipe: RescoringRecipe, offline: bool) -> None:
    """Fits the probability after a second look and writes it into the head's file."""
    from perception_contrast.encoders.dinov2 import load_dino
    from perception_contrast.encoders.household_lit import load_household_lit
    from perception_contrast.encoders.load_encoders import Encoders
    from perception_contrast.pipeline.pipeline import Pipeline
    from perception_contrast.text.sentence_encoder import load_minilm
    from perception_contrast_training.calibration.rescoring_calibration import calibrate_rescoring

    tower = load_dino(recipe.image_tower, offline=offline, pinned=True)
    model, words = word_head(recipe.words)
    sentences = load_minilm(offline=offline)
    language = load_household_lit(tower, sentences, path=words, rescoring=file, name=model)
    pipeline = Pipeline(Encoders(tower, language, "cpu"))
    sets = sets_of(recipe.photographs)
    seen = calibrate_rescoring(pipeline, file, recipe.calibration, sets, offline)
    logging.info("calibrated: %s", json.dumps(seen))


def evaluate(file: Path, recipe: RescoringRecipe, offline: bool) -> None:
    """Writes ``figures.json`` into the recipe's output, and prints it as a table."""
    from perception_contrast_training.evaluation.report import markdown, write_json
    from perception_contrast_training.household.rescoring.rescoring_figures import (
        crop_scores,
        name_vectors,
        naming,
        outcome,
        whole_image_scores,
    )

    head, facts, sha256 = load_rescoring_head(file)
    words = load_word_space(recipe, offline=offline)
    words.require_same(facts, f"rescoring head {file.name}")
    things = rendered(recipe, offline, kept_back=True)
    names, recall = name_vectors(words, shown_names(Words())), recipe.evaluation.recall
    found = {recipe.name: naming(crop_scores(head, things, names), things, recall)}
    path = Path(recipe.output) / "figures.json"
    write_json(path, {"head": sha256, **found})
    if recipe.evaluation.whole:
        jobs = shard_jobs(recipe, offline, kept_back=True)
        scores = whole_image_scores(words, jobs, things, names, offline=offline)
        found[f"{words.whole}, whole images"] = naming(scores, things, recall)
        write_json(path, {"head": sha256, **found})
    print(markdown(outcome(found, recall)))


# In the order in which they are taken; what needs a head finds it where the first one wrote it.
STEPS: Mapping[str, Step] = MappingProxyType({"train": _train, "calibrate": calibrate, "evaluate": evaluate})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast train",
        description="Renders scenes, fits a head on their things enlarged, measures it on unseen scenes.",
    )
    parser.add_argument("--recipe", type=Path, required=True, help="YAML file; see training/recipes")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one value")
    parser.add_argument(
        "--only", choices=tuple(STEPS), action="append", help="run this step alone (may be repeated)"
    )
    parser.add_argument("--head", type=Path, help="head to go on with instead of the recipe's")
    parser.add_argument("--offline", action="store_true", help="never touch a network")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0; raises PerceptionError for what the user can mend."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = load_rescoring_recipe(arguments.recipe, arguments.set)
    wanted = [name for name in STEPS if name in (arguments.only or STEPS)]
    if arguments.head and "train" in wanted:
        raise PerceptionError("--head names a finished head; use it with --only calibrate or --only evaluate")
    head: Path = arguments.head or Path(recipe.output) / HEAD_FILE
    if "train" not in wanted and not head.is_file():
        raise PerceptionError(f"there is no head '{head}'; run the train step first or name one with --head")
    try:
        for name in wanted:
            STEPS[name](head, recipe, arguments.offline)
    except OSError as error:
        raise PerceptionError(f"a file cannot be read or written: {error}") from error
    return 0
