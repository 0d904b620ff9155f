"""`perception-contrast map COMMAND`: the commands of saved maps, and their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from perception_contrast.cli.map import map_arguments, saved_map_changes, saved_map_files, saved_map_query


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast map", description="What is done with saved maps."
    )
    actions = parser.add_subparsers(dest="action", metavar="COMMAND", required=True)
    _add_files(actions)
    _add_questions(actions)
    _add_changes(actions)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 1 where `list` found a map that cannot be read. Raises PerceptionError."""
    options = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


def _add_files(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    listing = actions.add_parser("list", help="all saved maps, a line each")
    map_arguments.add_json(listing)
    listing.set_defaults(run=saved_map_files.list_maps)
    info = actions.add_parser("info", help="what a map holds, and of which models it is")
    info.add_argument("name", help="a name of the list")
    map_arguments.add_json(info)
    info.set_defaults(run=saved_map_files.info)
    export = actions.add_parser("export", help="write a map for other programs")
    export.add_argument("name", help="a name of the list")
    export.add_argument(
        "file",
        type=Path,
        help=".ply: cloud; .npz: the voxels' features; .json: objects; .rrd: a rerun recording",
    )
    export.set_defaults(run=saved_map_files.export)
    delete = actions.add_parser("delete", help="delete maps with all that they remember")
    delete.add_argument("names", nargs="+", metavar="name", help="names of the list")
    delete.set_defaults(run=saved_map_files.delete)
    compact = actions.add_parser("compact", help="write snapshot and journals as one snapshot")
    compact.add_argument("name", help="a name of the list")
    compact.add_argument(
        "--recover", action="store_true", help="leave out what is damaged in the journals instead of refusing"
    )
    compact.set_defaults(run=saved_map_files.compact_map)


def _add_questions(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    query = actions.add_parser("query", help="where a thing is, and whether it is still there")
    query.add_argument("name", help="a name of the list")
    query.add_argument("texts", nargs="*", metavar="TEXT", help="what is looked for, in words")
    query.add_argument(
        "--label", action="append", default=[], help="a label that detections were given; needs no model"
    )
    map_arguments.add_place(query)
    query.add_argument("--since", type=map_arguments.stamp, default=0, metavar="TIME", help="seen since then")
    query.add_argument("--min-score", type=float, metavar="P", help="probability from which a thing answers")
    query.add_argument("--gone", action="store_true", help="things that are not there any more answer too")
    query.add_argument("--max", type=int, default=5, metavar="N", help="most answers (default: %(default)s)")
    query.add_argument("--picture", type=Path, metavar="FILE.png", help="the map from above with the answers")
    _add_models(query)
    query.set_defaults(run=saved_map_query.query)
    recall = actions.add_parser("recall", help="what was seen, where and when")
    recall.add_argument("name", help="a name of the list")
    recall.add_argument("text", nargs="?", default="", metavar="TEXT", help="in words; all without")
    recall.add_argument("--label", default="", help="of the detections")
    recall.add_argument("--object", type=int, metavar="ID", help="of the map")
    map_arguments.add_place(recall)
    recall.add_argument(
        "--since", type=map_arguments.stamp, metavar="TIME", help="'3 hours', 'yesterday', a date"
    )
    recall.add_argument("--until", type=map_arguments.stamp, metavar="TIME", help="likewise")
    recall.add_argument("--at", type=map_arguments.stamp, metavar="TIME", help="what was where at that time")
    recall.add_argument("--moves", action="store_true", help="when --object was moved")
    recall.add_argument("--keyframes", action="store_true", help="whole images instead of things")
    recall.add_argument(
        "--max", type=int, default=10, metavar="N", help="most answers (default: %(default)s)"
    )
    recall.add_argument("--images", type=Path, metavar="FOLDER", help="write the stored images there")
    _add_models(recall)
    recall.set_defaults(run=saved_map_query.recall)


def _add_changes(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    merge = actions.add_parser("merge", help="make one map of two of the same place and models")
    merge.add_argument("first", help="its frame and ids stay")
    merge.add_argument("second", help="a name of the list")
    merge.add_argument("--save", required=True, metavar="NAME", help="name of the merged map, a new one")
    merge.add_argument(
        "--transform",
        type=map_arguments.flat_transform,
        metavar="X,Y,Z,DEGREES",
        help="where the second map's origin lies in the first, and its turn about z",
    )
    merge.set_defaults(run=saved_map_changes.merge)
    forget = actions.add_parser("forget", help="delete what a map and its memory hold of something")
    forget.add_argument("name", help="a name of the list")
    forget.add_argument("--label", default="", help="things of that label, and the images that show them")
    forget.add_argument("--object", type=int, metavar="ID", help="a thing, and the images that show it")
    map_arguments.add_place(forget)
    forget.set_defaults(run=saved_map_changes.forget_things)
    reembed = actions.add_parser("reembed", help="new vectors from the stored images, for another model")
    reembed.add_argument("name", help="a name of the list")
    reembed.add_argument("--language-model", metavar="MODEL", help="of words; the voxels' vectors begin anew")
    reembed.add_argument("--model", help="image encoder")
    _add_device(reembed)
    reembed.set_defaults(run=saved_map_changes.reembed_map)


def _add_models(parser: argparse.ArgumentParser) -> None:
    map_arguments.add_json(parser)
    _add_device(parser)


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--offline", action="store_true", help="do not touch the network")
