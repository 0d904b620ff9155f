"""The command line of `perception-contrast data`."""

from __future__ import annotations

import argparse
from pathlib import Path

from perception_contrast.cli.argument_types import non_negative_int, positive_int
from perception_contrast_training.cli.ray_arguments import add_ray
from perception_contrast_training.data.bags.options import AUTO, FORMATS, NONE, THUMBNAIL, ExtractOptions
from perception_contrast_training.data.curation.splits import WAYS, SplitOptions
from perception_contrast_training.data.datasets.folder_classes import AUTO as AUTO_CLASSES
from perception_contrast_training.data.datasets.folder_classes import RULES

_EPILOG = "docs/datasets.md describes each command and the files of a dataset."
_USUAL = ExtractOptions()


def parser(description: str | None) -> argparse.ArgumentParser:
    """Of all commands; the chosen one is ``action``."""
    top = argparse.ArgumentParser(prog="perception-contrast data", description=description, epilog=_EPILOG)
    actions = top.add_subparsers(dest="action", metavar="COMMAND", required=True)
    _add_extract(actions.add_parser("extract", help="choose frames of recordings and keep them as shards"))
    info = actions.add_parser("info", help="what a dataset, a folder of images or recordings hold")
    info.add_argument("path", type=Path, metavar="DATASET|IMAGES|BAG")
    _classes(info)
    info.add_argument("--json", action="store_true", help="for programs")
    view = actions.add_parser("view", help="draw a contact sheet and a timeline")
    view.add_argument("path", type=Path, metavar="DATASET|IMAGES")
    view.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where the PNGs go (default: the dataset; of a folder of images, NAME_view here)",
    )
    view.add_argument(
        "--count", type=positive_int, default=48, help="frames on the sheet (default: %(default)s)"
    )
    _add_dedup(actions.add_parser("dedup", help="mark frames that show what another one shows"))
    lance = actions.add_parser("lance", help="write a dataset as a Lance table, which LanceDB opens")
    lance.add_argument("path", metavar="DATASET", help="folder, or an address in a bucket")
    lance.add_argument("--out", required=True, metavar="TABLE", help="ends with .lance; may be in a bucket")
    _add_split(actions.add_parser("split", help="part a dataset for training and tests"))
    _add_autolabel(actions.add_parser("autolabel", help="let a large model label images for a small one"))
    return top


def _add_extract(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("recordings", type=Path, nargs="+", metavar="BAG", help="recording, or a folder of them")
    add(
        "--out",
        required=True,
        metavar="DATASET",
        help="folder, or an address in a bucket (s3://...); an interrupted one is gone on with",
    )
    add(
        "--workers",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="processes (default: one a processor)",
    )
    add_ray(parser)
    add("--skip-bad", action="store_true", help="leave out recordings that cannot be used")
    add("--no-recover", dest="recover", action="store_false", help="refuse damaged recordings")
    _add_topics(parser.add_argument_group("what is read"))
    _add_choice(parser.add_argument_group("which frames are kept"))
    _add_kept(parser.add_argument_group("what is kept of them"))


def _add_topics(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--topic", dest="topics", action="append", default=[], metavar="TOPIC", help="images (default: all)")
    add("--depth", default=AUTO, metavar=f"{AUTO}|{NONE}|TOPIC", help="default: of the same camera")
    add(
        "--pose", default=AUTO, metavar=f"{AUTO}|{NONE}|TOPIC", help="TF, else Odometry; or an Odometry topic"
    )
    add("--fixed-frame", default="", metavar="FRAME", help="of poses (default: map, else the root)")
    add("--text", action="append", default=[], metavar="TOPIC", help="String or Detection2DArray")
    add("--captions", default="", metavar="FILE", help="CSV or JSON lines of times and captions")
    _times(group, "slop", "between an image and its depth")
    _times(group, "pose_slop", "between an image and its pose")
    _times(group, "text_window", "between an image and a text")
    _times(group, "delay", "that an image waits for what belongs to it")


def _add_choice(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    _times(group, "every", "between kept frames, at least")
    _times(group, "max_gap", "after which one is kept though nothing changed, 0 for never")
    _number(group, "min_change", "difference of thumbnails to the last kept frame, 0 to 1")
    _number(group, "min_move", "metres that count as a change too")
    _number(group, "min_turn", "degrees that count as a change too")
    add("--novelty", default=THUMBNAIL, metavar=f"{THUMBNAIL}|{NONE}|MODEL", help="(default: %(default)s)")
    _number(group, "max_similarity", "cosine to earlier kept frames")
    add(
        "--memory",
        type=positive_int,
        default=_USUAL.memory,
        help="kept frames compared with (default: %(default)s)",
    )
    _number(group, "min_sharpness", "variance of the Laplacian at 240 pixels")
    _number(group, "max_clipped", "share of black and white pixels")


def _add_kept(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--anonymise", default=NONE, metavar="MODULE:FUNCTION", help="called on each kept image")
    add("--format", choices=FORMATS, default=AUTO, help="auto: compressed images keep their bytes")
    add(
        "--quality",
        type=positive_int,
        default=_USUAL.quality,
        help="of JPEGs made here (default: %(default)s)",
    )
    add(
        "--short-side",
        type=non_negative_int,
        default=0,
        metavar="PIXELS",
        help="shrink to it (default: as recorded)",
    )
    add("--shard-frames", type=positive_int, default=_USUAL.shard_frames, help="(default: %(default)s)")


def _add_dedup(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("path", type=Path, metavar="DATASET|IMAGES")
    add("--descriptor", default="dinov2-s14", metavar=f"MODEL|{THUMBNAIL}", help="(default: %(default)s)")
    add("--threshold", type=float, help="cosine (default: 0.98 of an encoder's, 0.99 of thumbnails)")
    add("--device", default=AUTO, help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add("--offline", action="store_true", help="do not touch the network")


def _add_split(parser: argparse.ArgumentParser) -> None:
    usual = SplitOptions()
    add = parser.add_argument
    add("path", type=Path, metavar="DATASET|IMAGES")
    add(
        "--by",
        choices=WAYS,
        default=usual.by,
        help="what stays together (default: bag; for images in folders, folders with names of recordings, "
        "else the order of names)",
    )
    _classes(parser)
    shares = ",".join(f"{name}={share:g}" for name, share in usual.shares)
    add("--parts", default=shares, metavar="NAME=SHARE,...", help="(default: %(default)s)")
    add("--cell", type=float, default=usual.cell, help="metres of a place (default: %(default)s)")
    add("--gap", type=float, default=usual.gap, help="seconds that part two stretches (default: %(default)s)")
    add("--guard-time", type=float, help="seconds (default: 2); for images in folders, images (default: 0)")
    add("--guard-distance", type=float, default=usual.guard_distance, help="metres (default: %(default)s)")
    add("--seed", type=non_negative_int, default=usual.seed, help="(default: %(default)s)")


def _add_autolabel(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("paths", type=Path, nargs="+", metavar="IMAGES", help="images, folders, videos, recordings")
    add("--out", type=Path, required=True, metavar="DIR", help="folder; an interrupted run is gone on with")
    add("--queries", default="", metavar="TEXT", help='with commas: "red mug, seat: a sofa; a chair; !stool"')
    add("--vocabulary", default="", metavar="NAME|FILE", help="a named vocabulary or its YAML file")
    add("--distractors", default="", metavar="TEXT", help="with commas: what is never labelled")
    add("--model", default="household-lit", help="the large model (default: %(default)s)")
    add("--language-model", metavar="MODEL", help="what knows words, if --model is a spatial model")
    add("--second", default="", metavar="MODEL", help="another model, for the check `model`")
    add(
        "--agree",
        default="flip",
        metavar="LIST",
        help="checks that a label must pass: flip, scale, model, track, or none (default: %(default)s)",
    )
    add("--threshold", type=float, metavar="P", help="least probability (default: the model's own)")
    add("--review", type=non_negative_int, default=200, help="things on the sheet (default: %(default)s)")
    add("--topic", help="image topic of recordings (default: the first with colour images)")
    add("--restart", action="store_true", help="replace what an earlier run of this command wrote there")
    add("--device", default=AUTO, help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add("--offline", action="store_true", help="do not touch the network")
    add_ray(parser)


def _classes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--classes",
        choices=RULES,
        default=AUTO_CLASSES,
        help="which folders of images are classes (default: %(default)s: none whose name is a day's or a "
        "recording's)",
    )


def _times(group: argparse._ArgumentGroup, name: str, help: str) -> None:
    _number(group, name, f"seconds {help}")


def _number(group: argparse._ArgumentGroup, name: str, help: str) -> None:
    usual = getattr(_USUAL, name)
    flag = f"--{name.replace('_', '-')}"
    group.add_argument(flag, type=float, default=usual, metavar="X", help=f"{help} (default: {usual:g})")
