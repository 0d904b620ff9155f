"""`perception-contrast data`: from recordings to datasets, and what is in them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.cli.data_arguments import parser
from perception_contrast_training.cli.ray_arguments import where_of
from perception_contrast_training.data.bags.options import ExtractOptions

_MEGA = 1e6
_LISTED = 50  # names in a list for people


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0. Raises PerceptionError."""
    arguments = parser(__doc__).parse_args(argv)
    run = {
        "extract": _extract, "info": _info, "view": _view, "dedup": _dedup, "split": _split, "lance": _lance,
        "autolabel": _autolabel,
    }[arguments.action]  # fmt: skip
    try:
        run(arguments)
    except OSError as error:
        raise PerceptionError(f"a file cannot be read or written: {error}") from error
    return 0


def _extract(arguments: argparse.Namespace) -> None:
    from perception_contrast_training.data.bags.extract import extract
    from perception_contrast_training.data.loading.progress import Bars

    names = {one.name for one in fields(ExtractOptions)}
    given = {key: value for key, value in vars(arguments).items() if key in names}
    given |= {key: tuple(given[key]) for key in ("topics", "text")}
    if given["captions"]:
        given["captions"] = str(Path(given["captions"]).resolve())
    options = ExtractOptions(**given)
    with Bars("images") as bars:
        found = extract(
            arguments.recordings,
            arguments.out,
            options,
            where=where_of(arguments),
            skip_bad=arguments.skip_bad,
            report=bars.show_recording,
        )
    for result in found.results:
        _tell_result(result)
    for name, reason in found.failed.items():
        print(f"{name}: left out, {reason}")
    print(f"{found.frames} frames in {found.dataset}")
    if not found.frames:
        raise PerceptionError("no frame was kept; the counts above say why, so relax those filters")


def _tell_result(result: dict[str, Any]) -> None:
    print(f"{result['name']}: {result['frames']} frames in {result['shards']} shard(s)")
    for topic, counts in result["topics"].items():
        rest = [
            f"{reason} {count}" for reason, count in sorted(counts.items()) if reason not in ("read", "kept")
        ]
        beside = f", depth of {result['depth'][topic]}" if topic in result["depth"] else ""
        kept = f"{counts.get('kept', 0)} of {counts.get('read', 0)} kept"
        print(f"  {topic}: {kept}{'; ' if rest else ''}{', '.join(rest)}{beside}")
    for topic, counts in result["malformed"].items():
        print(f"  {topic}: malformed: {', '.join(f'{reason} {count}' for reason, count in counts.items())}")
    for topic, reason in result["skipped"].items():
        print(f"  {topic}: no images: {reason}")
    for note in result["lost"]:
        print(f"  lost: {note}")


def _info(arguments: argparse.Namespace) -> None:
    from perception_contrast_training.data.curation.info import recording_info

    bags = _recordings(arguments.path)
    tell: Callable[[dict[str, Any]], None] = _tell_recording
    found = []
    for path in bags:
        try:
            found.append(recording_info(path))
        except PerceptionError as error:
            if len(bags) == 1:
                raise
            found.append({"path": str(path), "error": str(error)})
    if not bags:
        about, tell = _about(arguments)
        found = [about]
    if arguments.json:
        print(json.dumps(found if len(found) > 1 else found[0], indent=1))
        return
    for one in found:
        tell(one)


def _about(arguments: argparse.Namespace) -> tuple[dict[str, Any], Callable[[dict[str, Any]], None]]:
    """What is known of a dataset or a folder of images, and what prints it."""
    from perception_contrast_training.data.curation.every_frame import every_frame
    from perception_contrast_training.data.curation.folder_info import folder_info
    from perception_contrast_training.data.curation.info import dataset_info
    from perception_contrast_training.data.datasets.folders import FolderDataset

    frames = every_frame(arguments.path, classes=arguments.classes)
    if isinstance(frames, FolderDataset):
        return folder_info(frames), _tell_folder
    return dataset_info(frames), _tell_dataset


def _recordings(path: Path) -> list[Path]:
    """Those that the path is or holds; none where it is a dataset."""
    from perception_contrast.recordings.storage import is_recording
    from perception_contrast_training.data.datasets.manifest import DESCRIPTION

    if is_recording(path):
        return [path]
    if not path.is_dir() or (path / DESCRIPTION).is_file():
        return []
    return [folder for folder in sorted(path.rglob("*")) if folder.is_dir() and is_recording(folder)]


def _tell_recording(found: dict[str, Any]) -> None:
    if "error" in found:
        print(f"{found['path']}: {found['error']}")
        return
    print(f"{found['path']}: {found['messages']} messages in {found['seconds']:.1f} s")
    width = max(len(one["name"]) for one in found["topics"])
    for one in found["topics"]:
        line = f"  {one['name']:<{width}}  {one['count']:>7}  {one['rate']:>7.2f} Hz  {one['type']}"
        print(f"{line}  {one['holds']}".rstrip())
    for note in found["lost"]:
        print(f"  lost: {note}")


def _tell_dataset(found: dict[str, Any]) -> None:
    megabytes = found["bytes"] / _MEGA
    print(f"{found['path']}: {found['frames']} frames, {found['shards']} shard(s), {megabytes:.1f} MB")
    for one in found["cameras"]:
        print(f"  {one['bag']} {one['topic']}: {one['frames']} frames over {one['seconds']:.1f} s")
    print(
        "  with "
        + ", ".join(f"{what} {found[f'with_{what}']}" for what in ("pose", "depth", "camera", "text"))
    )
    print("  sizes: " + ", ".join(f"{size} {count}" for size, count in found["sizes"].items()))
    for text, count in found["commonest_texts"].items():
        print(f"  text '{text}': {count}")
    _tell_notes(found)


def _tell_folder(found: dict[str, Any]) -> None:
    print(f"{found['path']}: {found['images']} images, {found['bytes'] / _MEGA:.1f} MB")
    for title, counts in (("folders", found["folders"]), ("classes", found["classes"])):
        shown = [f"{name} {count}" for name, count in counts.items()]
        more = [f"and {len(shown) - _LISTED} more"] if len(shown) > _LISTED else []
        print(f"  {title}: " + (", ".join([*shown[:_LISTED], *more]) or "none"))
    print("  sizes: " + ", ".join(f"{size} {count}" for size, count in found["sizes"].items()))
    _tell_notes(found)
    _tell_unreadable(found["unreadable"])


def _tell_notes(found: dict[str, Any]) -> None:
    if "parts" in found:
        print("  parts: " + ", ".join(f"{part} {count}" for part, count in found["parts"].items()))
    if "duplicates" in found:
        twice = found["duplicates"]
        print(f"  near-duplicates: {twice['frames']} ({twice['space']}, cosine from {twice['threshold']})")


def _tell_unreadable(lines: Sequence[str]) -> None:
    if lines:
        print(f"{len(lines)} image(s) cannot be read and are left out:")
    for line in lines[:_LISTED]:
        print(f"  {line}")
    if len(lines) > _LISTED:
        print(f"  and {len(lines) - _LISTED} more")


def _view(arguments: argparse.Namespace) -> None:
    from perception_contrast_training.data.curation.contact_sheet import view
    from perception_contrast_training.data.datasets.manifest import DESCRIPTION, MANIFEST

    extracted = any((arguments.path / name).is_file() for name in (MANIFEST, DESCRIPTION))
    # Among plain images the sheet would become one of them.
    usual = arguments.path if extracted else Path(f"{arguments.path.resolve().stem}_view")
    for path in view(arguments.path, arguments.out or usual, arguments.count):
        print(path)


def _dedup(arguments: argparse.Namespace) -> None:
    from perception_contrast_training.data.curation.near_duplicates import dedup
    from perception_contrast_training.data.loading.progress import Bars

    with Bars("frames") as bars:
        found = dedup(
            arguments.path,
            arguments.descriptor,
            arguments.threshold,
            device=arguments.device,
            offline=arguments.offline,
            tell=bars.show_stage,
        )
    print(
        f"{found['duplicates']} of {found['frames']} frames are near-duplicates (cosine from "
        f"{found['threshold']} in {found['space']}); {found['kept']} kept, in {found['clusters']} clusters"
    )
    _tell_unreadable(found["unreadable"])


def _lance(arguments: argparse.Namespace) -> None:
    from perception_contrast_training.data.datasets.lance_frames import write_lance_frames
    from perception_contrast_training.data.datasets.open_dataset import open_dataset
    from perception_contrast_training.data.datasets.shards import ShardDataset
    from perception_contrast_training.storage.lance_table import is_lance

    if not is_lance(arguments.out):
        raise PerceptionError(f"--out '{arguments.out}' must end with .lance")
    frames = open_dataset(arguments.path, duplicates=True)
    if not isinstance(frames, ShardDataset):
        raise PerceptionError(f"'{arguments.path}' is no dataset of `data extract`; make one of it first")
    rows = write_lance_frames(frames, arguments.out)
    print(f"{rows} frames in {arguments.out}")


def _split(arguments: argparse.Namespace) -> None:
    from perception_contrast_training.data.curation.splits import SplitOptions, parse_shares, split

    options = SplitOptions(
        arguments.by,
        parse_shares(arguments.parts),
        cell=arguments.cell,
        gap=arguments.gap,
        guard_time=arguments.guard_time,
        guard_distance=arguments.guard_distance,
        seed=arguments.seed,
    )
    counts = split(arguments.path, options, classes=arguments.classes)
    print(", ".join(f"{part} {count}" for part, count in counts.items()))


def _autolabel(arguments: argparse.Namespace) -> None:
    from perception_contrast.core.vocabulary import Vocabulary, parse_queries
    from perception_contrast.vocabulary.query_inputs import with_named
    from perception_contrast_training.data.autolabel.agreement import checked_names
    from perception_contrast_training.data.autolabel.autolabel import AutolabelOptions, autolabel
    from perception_contrast_training.data.autolabel.labeller import LabelModels

    queries = parse_queries(arguments.queries.split(","))
    distractors = [text.strip() for text in arguments.distractors.split(",") if text.strip()]
    if arguments.vocabulary:
        vocabulary = with_named(arguments.vocabulary, queries, distractors)
    elif queries:
        vocabulary = Vocabulary.of(queries, distractors)
    else:
        raise PerceptionError('nothing to label; give --queries "mug, chair" or --vocabulary household')
    options = AutolabelOptions(
        tuple(arguments.paths),
        arguments.out,
        vocabulary,
        checked_names(arguments.agree),
        arguments.threshold,
        arguments.review,
        arguments.topic,
        arguments.restart,
    )
    models = LabelModels(
        arguments.model, arguments.language_model, arguments.second, arguments.device, arguments.offline
    )
    found = autolabel(options, models, where_of(arguments))
    print(f"{found.labels} labels of a model in {found.frames} frames: {found.file}")
    for reason, count in sorted(found.left_out.items(), key=lambda one: -one[1]):
        print(f"  left out, {reason}: {count}")
    print(f"  look at {found.file.parent / 'review.html'} before you learn from them")
    _tell_unreadable(found.unreadable)
