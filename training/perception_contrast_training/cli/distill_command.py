"""`perception-contrast distill`: teach a small network what large ones see, and export it for the nodes."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from perception_contrast.cli.argument_types import non_negative_int
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.process.early_exit import EXIT_INTERRUPTED

_EPILOG = """\
examples:
  perception-contrast distill my_bag photos/ --teacher dinov2-s14 --student resnet18 --output runs/kitchen
  perception-contrast distill DATASET --teacher dinov2-b14 --teacher siglip2-b16 --student convnext_atto
  ros2 run perception_contrast perception_node --ros-args -p model:=$PWD/runs/kitchen/model

Ctrl-C saves; the same command goes on. docs/distill.md says what is learned and how to measure it.
"""


def parser() -> argparse.ArgumentParser:
    """Of the command's arguments."""
    made = argparse.ArgumentParser(
        prog="perception-contrast distill",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add(
        "data", nargs="+", type=Path, metavar="DATA", help="images, datasets of `data extract`, or recordings"
    )
    add(
        "--teacher", action="append", metavar="MODEL",
        help="a model of `models list`, or an exported folder; may be repeated (default: dinov2-s14)",
    )  # fmt: skip
    add("--student", default="resnet18", metavar="NETWORK", help="of timm (default: %(default)s)")
    add("--output", type=Path, default=Path("runs/distill"), metavar="RUN", help="(default: %(default)s)")
    add("--to", type=Path, metavar="DIR", help="the folder to export to (default: RUN/model)")
    add("--name", default="", help="the student's model id")
    add("--size", type=non_negative_int, default=0, metavar="PIXELS", help="of its images (default: its own)")
    add("--steps", type=non_negative_int, default=0, help="of the optimiser (default: 100 passes)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="of the recipe `distill_scratch`")
    add("--check", action="store_true", help="check everything and say what would be chosen, start nothing")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, 130 if it was stopped and saved. Raises PerceptionError."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("torch").setLevel(logging.WARNING)
    from perception_contrast_training.distillation.distilling import (
        StoppedError,
        distill,
        distillation_recipe,
    )

    given = {
        "teachers": arguments.teacher or ["dinov2-s14"], "student": arguments.student,
        "output": arguments.output, "name": arguments.name, "size": arguments.size,
        "steps": arguments.steps, "changes": arguments.set,
    }  # fmt: skip
    try:
        if arguments.check:
            from perception_contrast_training.engine.pretraining import check

            print(check(distillation_recipe(arguments.data, **given)))
            return 0
        folder = distill(arguments.data, to=arguments.to, **given)
    except StoppedError as error:
        print(error, file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as error:
        raise PerceptionError(f"a file cannot be read or written: {error}") from error
    print(f"{folder} is a model: name it as `model`, and as `language_model` where a teacher has words")
    return 0
