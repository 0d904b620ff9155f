"""`perception-contrast train`: learn from your own images, go on, compare, and export for the nodes."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.plugins import allow_modules, is_module_name
from perception_contrast_training.cli.head_command import head_command, table_command
from perception_contrast_training.config.recipe_keys import texts_in

INTERRUPTED = 130
HOUSEHOLD = "household"  # not said by users: the form of the command that household heads have

_DESCRIPTION = """\
Learns an encoder from your own images, or adapts one to them, and exports it for the nodes.

  run        start what a recipe says
  resume     go on with a run exactly where its last checkpoint is
  export     a run's encoder as a folder that nodes serve; refused if adapting made it worse
  evaluate   figures of encoders side by side on your images
  recipes    the recipes that come with the package
  head       a head on frozen features, from labelled frames: boxes, pixels or classes
  head-table heads beside words and exemplars, on labelled frames

`perception-contrast train COMMAND --help` describes a command. `train --recipe FILE` alone is `run`.
"""
_RUN_EPILOG = """\
examples:
  perception-contrast train run --recipe dino_adapt --set data.path=DATASET --set output=runs/kitchen
  perception-contrast train run --recipe simclr_scratch.yaml --set optimisation.batch=512
  torchrun --nproc-per-node 4 -m perception_contrast.cli.main train run --recipe dinov2_scratch ...

Ctrl-C saves and ends; `train resume` goes on. A second Ctrl-C ends at once.
"""
_PLUGIN = """\
a run whose method, text tower or reader is a module of another package (my_package.vicreg:KIND) is read only
with its name here, for reading it runs that module; may be repeated"""
_MOVED = "where the run's images are now, if they moved"


def _run_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast train run",
        description="Starts a run: checkpoints, log.jsonl and TensorBoard files go to its output folder.",
        epilog=_RUN_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--recipe", required=True, metavar="FILE|NAME", help="a YAML file, or one of `train recipes`"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one value; may be repeated"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="check recipe and data, print the settings that would be chosen, start nothing",
    )
    return parser


def _resume_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast train resume",
        description="Goes on with a run: weights, optimiser, schedules and the place in the data are those "
        "of its last checkpoint, so the end is what it would have been without a break.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the run's output folder")
    parser.add_argument(
        "--steps", type=int, default=0, help="of the whole run, in place of the recipe's; schedules stretch"
    )
    parser.add_argument("--data", default="", metavar="PATH", help=_MOVED)
    _add_plugin(parser)
    return parser


def _add_plugin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plugin", action="append", default=[], metavar="MODULE:NAME", help=_PLUGIN)


def _export_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast train export",
        description="Writes a run's encoder as a folder: safetensors, ONNX, a card for nodes and one for "
        "people. Nodes take the folder as parameter `model`, and what learned from captions as "
        "`language_model` too. An encoder that was adapted is first compared with what it started from, on "
        "images that were kept back.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the run's output folder")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="the folder to write")
    parser.add_argument("--data", default="", metavar="PATH", help=_MOVED)
    parser.add_argument("--name", default="", help="the model's id (default: the recipe's name)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--last", action="store_true", help="the last checkpoint, not the best one")
    which.add_argument("--step", type=int, default=0, help="the checkpoint of this step")
    parser.add_argument(
        "--accept-regression", action="store_true", help="export an encoder that got worse; its card says so"
    )
    parser.add_argument("--replace", action="store_true", help="put it in the place of a folder that exists")
    _add_plugin(parser)
    return parser


def _evaluate_parser() -> argparse.ArgumentParser:
    from perception_contrast_training.data.datasets.folder_classes import AUTO, RULES
    from perception_contrast_training.evaluation.compare import TASKS

    parser = argparse.ArgumentParser(
        prog="perception-contrast train evaluate",
        description="Figures of one encoder or several on the same images. What the data has is used: "
        "classes (kNN, linear probe, zero-shot), captions (retrieval), times (near frames), masks (dense "
        "probe, clustering); rank and robustness need nothing.",
    )
    parser.add_argument(
        "encoder",
        nargs="+",
        metavar="ENCODER",
        help="a model's name, a folder of `train export`, the output folder of a run, or random:NAME",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="PATH", help="as data.path of a recipe")
    parser.add_argument("--part", default="", help="of data that `data split` has split")
    parser.add_argument("--reader", default="", metavar="NAME", help="as data.reader of a recipe")
    parser.add_argument(
        "--classes",
        choices=RULES,
        default=AUTO,
        help="which folders of images are classes: all but those with names of days and recordings (auto), "
        "all (folders), or none (default: %(default)s)",
    )
    parser.add_argument(
        "--task", action="append", choices=TASKS, help="only this one; may be repeated (default: all)"
    )
    parser.add_argument("--held-out", type=float, default=0.2, help="share to test on (default: %(default)s)")
    parser.add_argument(
        "--solver", choices=("sklearn", "torch"), default="sklearn", help="of the linear probe"
    )
    parser.add_argument(
        "--ignore", type=int, action="append", default=[], help="a class of masks to leave out"
    )
    parser.add_argument(
        "--templates", default="robot_camera", help="robot_camera, plain, or one sentence with {}"
    )
    parser.add_argument("--limit", type=int, default=0, help="images at most, spread evenly (default: all)")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder for figures.json, tables and plots"
    )
    parser.add_argument("--offline", action="store_true", help="never touch a network")
    _add_plugin(parser)
    return parser


def run_command(argv: Sequence[str]) -> int:
    arguments = _run_parser().parse_args(argv)
    from perception_contrast_training.config.shipped_recipes import recipe_path

    path = recipe_path(arguments.recipe)
    from perception_contrast_training.config.recipe_keys import require_known_keys
    from perception_contrast_training.config.schema import read_mapping

    stored = read_mapping(path, arguments.set)
    # Before torch is imported: a mistyped key is told at once.
    require_known_keys(stored)
    allow_modules(texts_in(stored))
    from perception_contrast_training.config.pretraining_recipe import is_pretraining, recipe_of

    if not is_pretraining(stored):
        changes = [word for one in arguments.set for word in ("--set", one)]
        return household_command(["--recipe", str(path), *changes])
    from perception_contrast_training.engine.pretraining import check, start

    recipe = recipe_of(stored)
    if arguments.check:
        _say(check(recipe))
        return 0
    return _ended(start(recipe), Path(recipe.output), stored)


def resume_command(argv: Sequence[str]) -> int:
    arguments = _resume_parser().parse_args(argv)
    allow_modules(arguments.plugin)
    from perception_contrast_training.config.pretraining_recipe import is_pretraining
    from perception_contrast_training.engine.resume import stored_recipe

    stored = stored_recipe(arguments.run)
    if not is_pretraining(stored):
        head = _household_module(stored, "training").resume(arguments.run, arguments.steps)
        _say(f"finished: {head}")
        return 0
    from perception_contrast_training.engine.pretraining import resume

    return _ended(resume(arguments.run, arguments.steps, arguments.data), arguments.run, stored)


def _is_first_process() -> bool:
    """Whether this process speaks: rank 0 of those that ``torchrun`` started, or one alone."""
    return os.environ.get("RANK", "0") == "0"


def _say(line: str, *, error: bool = False) -> None:
    """Prints, in the first of the processes that train together alone."""
    if _is_first_process():
        print(line, file=sys.stderr if error else sys.stdout)


def _ended(reason: str, folder: Path, recipe: Mapping[str, Any]) -> int:
    modules = sorted({text for text in texts_in(recipe) if is_module_name(text)})
    given = "".join(f" --plugin {name}" for name in modules)
    if reason == "interrupted":
        _say(f"saved; go on with `perception-contrast train resume {folder}{given}`", error=True)
        return INTERRUPTED
    _say(f"finished; export it with `perception-contrast train export {folder} --to DIR{given}`")
    return 0


def export_command(argv: Sequence[str]) -> int:
    arguments = _export_parser().parse_args(argv)
    allow_modules(arguments.plugin)
    from perception_contrast_training.evaluation.report import Outcome, markdown
    from perception_contrast_training.export.export_run import export_run

    done = export_run(
        arguments.run,
        arguments.to,
        name=arguments.name,
        best=not arguments.last,
        step=arguments.step,
        accept_regression=arguments.accept_regression,
        replace=arguments.replace,
        data=arguments.data,
    )
    if done.verdict is not None:
        print(markdown(Outcome({}, [done.verdict.table()], notes=done.verdict.sentences())))
    cosines = ", ".join(f"{name} {value:.6f}" for name, value in done.cosines.items())
    shared = f", with words {done.shared}" if done.shared not in ("", done.space) else ""
    print(f"{done.folder}: {done.space}{shared}")
    print(f"smallest cosine of ONNX with torch: {cosines or 'not checked'}")
    return 0


def evaluate_command(argv: Sequence[str]) -> int:
    arguments = _evaluate_parser().parse_args(argv)
    allow_modules([*arguments.plugin, arguments.reader])
    from perception_contrast_training.evaluation.encoder_report import evaluate

    evaluate(arguments)
    return 0


def recipes_command(argv: Sequence[str]) -> int:
    argparse.ArgumentParser(
        prog="perception-contrast train recipes",
        description="Names and files of the recipes that come along.",
    ).parse_args(argv)
    from perception_contrast_training.config.shipped_recipes import shipped

    for name, (path, first) in shipped().items():
        print(f"{name:<16} {first}\n{'':<16} {path}")
    return 0


def household_command(argv: Sequence[str]) -> int:
    """The command of the household head that the recipe is for: alignment, unless it says rescoring."""
    from perception_contrast_training.config.recipe_keys import require_known_keys
    from perception_contrast_training.config.schema import read_mapping
    from perception_contrast_training.config.shipped_recipes import recipe_path

    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--recipe")
    parser.add_argument("--set", action="append", default=[])
    given, rest = parser.parse_known_args(argv)
    if given.recipe is None:
        return int(_household_module({}, "command").main(argv))
    path = recipe_path(given.recipe)
    changes = [word for one in given.set for word in ("--set", one)]
    stored = read_mapping(path, given.set)
    require_known_keys(stored)
    module = _household_module(stored, "command")
    return int(module.main(["--recipe", str(path), *changes, *rest]))


def _household_module(recipe: Mapping[str, Any], what: str) -> Any:
    """``command`` or ``training`` of the head that a recipe is for."""
    head = "rescoring" if recipe.get("method") == "rescoring" else "alignment"
    return import_module(f"perception_contrast_training.household.{head}.{head}_{what}")


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "run": run_command,
    "resume": resume_command,
    "export": export_command,
    "evaluate": evaluate_command,
    "recipes": recipes_command,
    "head": head_command,
    "head-table": table_command,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, 130 if it was interrupted; raises PerceptionError for what the user can mend."""
    given = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("torch").setLevel(logging.WARNING)  # its statistics would follow an interrupt
    if not _is_first_process():  # the first one says the same; what ends a process is still told
        logging.getLogger().setLevel(logging.ERROR)
        warnings.simplefilter("ignore")
    command, rest = _command_of(given)
    try:
        return (household_command if command == HOUSEHOLD else COMMANDS[command])(rest)
    except OSError as error:
        raise PerceptionError(f"a file cannot be read or written: {error}") from error


def _command_of(given: list[str]) -> tuple[str, list[str]]:
    """The command and its arguments; options of the household's heads alone go to their commands."""
    if given and given[0] in COMMANDS:
        return given[0], given[1:]
    if any(word.split("=")[0] in ("--only", "--head", "--offline") for word in given):
        return HOUSEHOLD, given
    if any(word.split("=")[0] == "--recipe" for word in given):
        return "run", given
    parser = argparse.ArgumentParser(
        prog="perception-contrast train",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="perception-contrast train COMMAND ...",
    )
    parser.add_argument("command", choices=[*COMMANDS], metavar="COMMAND", help=", ".join(COMMANDS))
    parser.parse_args(given[:1])
    raise AssertionError("the parser has ended the program")
