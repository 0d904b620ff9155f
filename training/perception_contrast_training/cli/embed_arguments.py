"""The command line of `perception-contrast embed`."""

from __future__ import annotations

import argparse
from pathlib import Path

from perception_contrast.cli.argument_types import non_negative_int, positive_int
from perception_contrast_training.cli.ray_arguments import add_ray
from perception_contrast_training.embedding.settings import (
    DTYPES,
    LANGUAGE,
    SPATIAL,
    THUMBNAIL,
    EmbedSettings,
)
from perception_contrast_training.vectors.selection import WAYS

_USUAL = EmbedSettings()
_EPILOG = """\
examples:
  perception-contrast embed photos/ --out vectors.parquet
  perception-contrast embed my_recording drive.mp4 --out vectors.lance --model siglip2-b16
  perception-contrast embed my_recording --out vectors.npz --patches patches.zarr --pca features.mp4
  perception-contrast embed report vectors.parquet --out report
  perception-contrast embed select vectors.parquet --count 200 --labelled labelled.txt --out chosen

A run that was stopped, by Ctrl-C or kill -9 too, goes on where it was when the same command is given again;
the file is that of an uninterrupted run. docs/embed.md describes the files.
"""


def embed_parser() -> argparse.ArgumentParser:
    """Of `embed DATA`."""
    parser = argparse.ArgumentParser(
        prog="perception-contrast embed",
        description="Vectors of all frames of some data in one file, and what they tell: `embed report` "
        "(near-duplicates, outliers, coverage) and `embed select` (which frames to label).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "data",
        nargs="+",
        metavar="DATA",
        help="images, folders and .zip of them, tables, videos, rosbag2 recordings, data sets (also in a "
        "bucket: s3://...), Lance tables",
    )
    add("--out", required=True, metavar="FILE", help=".parquet, .npz or .lance; a path, or in a bucket")
    add(
        "--model",
        default=_USUAL.model,
        help=f"of `models list`, an exported folder or .onnx, a run's folder, or {THUMBNAIL}, which needs no "
        "model (default: %(default)s)",
    )
    add("--dtype", choices=DTYPES, default=_USUAL.dtype, help="of the vectors (default: %(default)s)")
    add("--topic", action="append", default=[], metavar="TOPIC", help="of recordings (default: all images)")
    add("--part", default="", help="of a data set that `data split` has split")
    add("--restart", action="store_true", help="forget an earlier run, and replace its files")
    group = parser.add_argument_group("patch features")
    add = group.add_argument
    add("--patches", default="", metavar="ZARR", help="write them into this Zarr group, float16")
    add(
        "--patch-features",
        choices=(SPATIAL, LANGUAGE),
        default=SPATIAL,
        help="of the image alone, or comparable with words (default: %(default)s)",
    )
    add("--pca", default="", metavar="MP4|DIR", help="draw their principal components, as a video or PNGs")
    _add_computing(parser.add_argument_group("where and how it is computed"))
    return parser


def _add_computing(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--short-side", type=positive_int, default=_USUAL.short_side, metavar="PX", help="(%(default)s)")
    add("--batch", type=positive_int, metavar="N", help="frames in one pass (default: 64 on a GPU, else 8)")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add("--engine", default=_USUAL.engine, help="torch, or another engine's name (default: %(default)s)")
    add("--precision", default=_USUAL.precision, help="of the engine (default: %(default)s)")
    add("--offline", action="store_true", help="do not touch the network for weights")
    add(
        "--part-frames",
        type=positive_int,
        default=_USUAL.part_frames,
        metavar="N",
        help="frames in a part, which an interrupted run keeps (default: %(default)s)",
    )
    add("--workers", type=positive_int, default=1, metavar="N", help="processes (default: %(default)s)")
    add_ray(group)


def report_parser() -> argparse.ArgumentParser:
    """Of `embed report VECTORS`."""
    parser = argparse.ArgumentParser(
        prog="perception-contrast embed report",
        description="Near-duplicates, outliers and coverage of the frames behind some vectors: report.json, "
        "contact sheets and a page, index.html. Nothing is deleted.",
    )
    add = parser.add_argument
    _add_vectors(parser)
    add("--out", type=Path, metavar="DIR", help="folder (default: NAME_report beside the vectors)")
    add(
        "--duplicates-from",
        type=float,
        metavar="COSINE",
        help="frames that similar show the same (default: 0.98 of an encoder, 0.99 of thumbnails)",
    )
    add("--neighbours", type=positive_int, default=10, help="for outliers (default: %(default)s)")
    add("--radius", type=float, metavar="COSINE", help="near enough to count as covered (default: 0.9)")
    add("--labelled", type=Path, metavar="FILE", help="keys of frames whose coverage is measured; see select")
    return parser


def select_parser() -> argparse.ArgumentParser:
    """Of `embed select VECTORS`."""
    parser = argparse.ArgumentParser(
        prog="perception-contrast embed select",
        description="Which frames should be labelled next: a list (selected.csv) and a contact sheet.",
    )
    add = parser.add_argument
    _add_vectors(parser)
    add("--count", type=positive_int, required=True, metavar="N", help="frames to choose")
    add("--out", type=Path, metavar="DIR", help="folder (default: NAME_selected beside the vectors)")
    add(
        "--by",
        choices=WAYS,
        default=WAYS[0],
        help="coreset: farthest from all that is known (k-centre); typical: the densest place of each "
        "cluster, better while there are few labels (default: %(default)s)",
    )
    add(
        "--labelled",
        type=Path,
        metavar="FILE",
        help="frames that are labelled already: a key (or SOURCE/KEY) a line, or a .csv or .parquet with a "
        "column `key`; split.parquet:train takes a part of `data split`",
    )
    add(
        "--detections",
        type=Path,
        metavar="FILE",
        help="detections.jsonl of `find`: frames whose detections are least certain come first",
    )
    add("--seed", type=non_negative_int, default=0, help="(default: %(default)s)")
    return parser


def _add_vectors(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("vectors", metavar="VECTORS", help="a file that `embed` wrote")
    parser.add_argument(
        "--no-sheets", dest="sheets", action="store_false", help="draw nothing, where the images are gone"
    )
