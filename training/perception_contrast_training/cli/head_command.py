"""`perception-contrast train head` and `train head-table`: heads on labelled frames, and their worth."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from perception_contrast.cli.argument_types import non_negative_int, positive_int
from perception_contrast.core.errors import PerceptionError

TASKS = ("detection", "segmentation", "classification")  # of heads, without their module and its torch
_LAYOUTS = """\
DATA is a COCO JSON or its folder (what the studio's Dataset page writes is one), a PASCAL VOC folder
(Annotations/*.xml, JPEGImages/), a YOLO folder (data.yaml, images/, labels/), images/ and labels/ with a
class list, or a folder for each class.
"""
_HEAD_EPILOG = f"""\
{_LAYOUTS}
examples:
  perception-contrast train head kitchen.json --frames 100 --out runs/kitchen
  perception-contrast train head kitchen.json --boxes 5 --classes "mug, plate" --out runs/five
  perception-contrast train head camvid/ --task segmentation --model runs/adapted/model --out runs/road
  perception-contrast find photos/ --head runs/kitchen --save found
  ros2 run perception_contrast perception_node --ros-args -p heads:="[$PWD/runs/kitchen]"
"""
_TABLE_EPILOG = """\
example:
  perception-contrast train head-table kitchen.json --head runs/kitchen --head runs/five --out runs/table
"""


def _parser(name: str, description: str, epilog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"perception-contrast train {name}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="labelled frames")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of a COCO file's images")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--offline", action="store_true", help="never touch a network")
    parser.add_argument("--seed", type=non_negative_int, default=0, help="of what is drawn (%(default)s)")
    return parser


def _head_parser() -> argparse.ArgumentParser:
    parser = _parser(
        "head",
        "Trains a head on the features of a frozen encoder. A node reports its classes beside its queries; "
        "measure it with `train head-table` first.",
        _HEAD_EPILOG,
    )
    add = parser.add_argument
    add("--task", choices=TASKS, default="detection", help="(default: %(default)s)")
    add("--out", type=Path, required=True, metavar="RUN", help="folder of the head and its report")
    add(
        "--model", default="dinov2-s14",
        help="the encoder of images: a name of `models list`, or an exported folder such as that of an "
        "adapted run (default: %(default)s)",
    )  # fmt: skip
    add(
        "--language-model", default="household-lit",
        help="whose features the head sees, as they are served; none takes those of --model alone "
        "(default: %(default)s)",
    )  # fmt: skip
    add("--classes", default="", metavar="LIST", help="with commas (default: all of the data)")
    add("--frames", type=non_negative_int, default=0, metavar="N", help="to train on (default: all)")
    add("--frame-list", type=Path, metavar="FILE", help="names of frames, a line each: no others are seen")
    add(
        "--boxes", type=non_negative_int, default=0, metavar="N", help="few-shot: N boxes of each class alone"
    )
    add("--short-side", type=positive_int, default=378, metavar="PX", help="as it is served (%(default)s)")
    add("--steps", type=positive_int, default=1000, help="of the optimiser (default: %(default)s)")
    add("--batch", type=positive_int, default=8, help="views a step (default: %(default)s)")
    add("--learning-rate", type=float, default=3e-3, help="the highest (default: %(default)s)")
    add("--folds", type=non_negative_int, default=3, help="that fit the probabilities (default: %(default)s)")
    add("--autolabelled", action="store_true", help="train on labels of `data autolabel`, made by a model")
    add("--replace", action="store_true", help="put the head in the place of one that is there")
    return parser


def head_command(argv: Sequence[str]) -> int:
    """Trains a head. Raises PerceptionError."""
    options = _head_parser().parse_args(argv)
    if not 0.0 < options.learning_rate <= 1.0:
        raise PerceptionError(f"--learning-rate {options.learning_rate:g} is not between 0 and 1; try 0.003")
    logging.getLogger("torch").setLevel(logging.WARNING)
    from perception_contrast.heads.registered_heads import is_head_path
    from perception_contrast_training.evaluation.readers.coco import HUMAN, MODEL
    from perception_contrast_training.heads.fitting import FitSettings
    from perception_contrast_training.heads.head_training import HeadRequest, train_head

    request = HeadRequest(
        data=options.data,
        task=options.task,
        output=options.out,
        model=options.model,
        language_model=options.language_model,
        classes=tuple(one.strip() for one in options.classes.split(",") if one.strip()),
        frames=options.frames,
        boxes=options.boxes,
        listed=options.frame_list,
        short_side=options.short_side,
        folds=options.folds,
        fit=FitSettings(
            steps=options.steps, batch=options.batch, learning_rate=options.learning_rate, seed=options.seed
        ),
        images=options.images,
        source=MODEL if options.autolabelled else HUMAN,
        device=options.device,
        offline=options.offline,
        replace=options.replace,
    )
    trained = train_head(request, _say)
    for name, value in trained.report["held_out"].items():
        print(f"{name.replace('_', ' ')} in frames that were kept back: {value:.3f}")
    print(f"{options.out}: {trained.card.task} of {', '.join(trained.card.classes)} on {trained.card.space}")
    models = ["--model", options.model]
    if trained.card.source == "language":
        models += ["--language-model", options.language_model]
    head = str(options.out)
    if not is_head_path(head):  # it would be taken for a registered name
        head = f"./{head}"
    chosen = shlex.join(["--head", head, *models])
    print(f"try it: perception-contrast find IMAGES {chosen} --save DIR")
    return 0


def table_command(argv: Sequence[str]) -> int:
    """Compares heads with words and exemplars. Raises PerceptionError."""
    parser = _parser(
        "head-table",
        "AP50, precision and recall of heads, words and exemplars, in the labelled frames that no head saw.",
        _TABLE_EPILOG,
    )
    add = parser.add_argument
    add("--head", type=Path, action="append", required=True, metavar="RUN", help="may be repeated")
    add("--out", type=Path, metavar="DIR", help="folder for table.md and table.json")
    add("--model", default="dinov2-s14", help="that the heads were trained on (default: %(default)s)")
    add("--language-model", default="household-lit", help="none leaves words out (default: %(default)s)")
    add("--exemplars", type=non_negative_int, default=5, metavar="N", help="of each class (%(default)s)")
    add("--limit", type=non_negative_int, default=0, metavar="N", help="frames to test on (default: all)")
    options = parser.parse_args(argv)
    logging.getLogger("torch").setLevel(logging.WARNING)
    from perception_contrast.core.cache import atomic_write
    from perception_contrast.core.file_writing import require_writable
    from perception_contrast_training.evaluation.report import markdown, write_json
    from perception_contrast_training.heads.head_table import TableRequest, compare

    if options.out is not None:
        require_writable(options.out)
    outcome = compare(
        TableRequest(
            options.data,
            tuple(options.head),
            options.model,
            options.language_model,
            options.exemplars,
            options.limit,
            options.images,
            options.device,
            options.offline,
            options.seed,
        ),
        _say,
    )
    text = markdown(outcome)
    print(text)
    if options.out is not None:
        atomic_write(options.out / "table.md", f"{text}\n".encode())
        write_json(options.out / "table.json", outcome.figures)
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
