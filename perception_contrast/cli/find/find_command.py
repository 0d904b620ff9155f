"""`perception-contrast find`: things named in words, found in images, videos and recordings, without ROS."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception_contrast.cli.argument_types import add_place_option, add_scores_option, positive_int, seconds
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.vocabulary import Vocabulary, parse_queries
from perception_contrast.engines.engine_names import AUTO, PRECISIONS

if TYPE_CHECKING:
    from perception_contrast.cli.find.find_journal import FindJournal
    from perception_contrast.cli.find.find_run import FindPlan
    from perception_contrast.heads.head_card import HeadCard
    from perception_contrast.pipeline.detector.base import Detector

EXIT_UNREADABLE = 1
_SHORT_SIDE = 378  # pixels, as a node serves
FORMATS = ("json", "coco", "overlay", "mcap")
_EPILOG = """\
examples:
  perception-contrast find photos/ --queries "mug, chair" --save found
  perception-contrast find drive.mp4 --vocabulary road --model siglip2-b16 --save found
  perception-contrast find photos/ --head runs/kitchen --save found
  perception-contrast find my_recording --queries "seat: a sofa; a chair; !stool" --save found

in DIR:
  detections.jsonl   a line of JSON a frame: boxes, scores, masks (COCO run lengths), track ids
  coco.json          images, annotations, categories
  overlays/          images with what was found drawn over them
  bags/NAME/         of a recording: a rosbag2 folder (MCAP) with all its topics and, behind each image,
                     /perception_node/detections and /perception_node/masks under the image's own header
  find.json          settings, counts, what could not be read, what recordings lost

A run that was stopped, by Ctrl-C or kill -9 too, continues where it was when the same command is given
again; more images may be named. detections.jsonl has that name only once all is done.

exit code: 0 all was searched; 1 some frames or files could not be read, or a recording could not be
written (they are named, counted and left out); 2 an error; 130 stopped by Ctrl-C.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast find",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "images",
        nargs="+",
        type=Path,
        metavar="IMAGES",
        help="image files, folders of them, videos, rosbag2 recordings",
    )
    add("--queries", default="", metavar="TEXT", help='with commas: "red mug, seat: a sofa; a chair; !stool"')
    add("--vocabulary", default="", metavar="NAME|FILE", help="a named vocabulary or its YAML file")
    add("--distractors", default="", metavar="TEXT", help="with commas: what is never reported")
    add(
        "--head",
        action="append",
        default=[],
        metavar="NAME|RUN",
        help="a trained head of `train head`, whose classes are found beside the queries; may be repeated",
    )
    add("--save", type=Path, required=True, metavar="DIR", help="folder of the results")
    add("--restart", action="store_true", help="replace what an earlier run of this command wrote there")
    add(
        "--format",
        default="",
        metavar="LIST",
        help=f"of {', '.join(FORMATS)}, with commas; json is always written (default: json,coco,overlay, and "
        "mcap for recordings)",
    )
    add("--coco-masks", choices=("rle", "polygon"), default="rle", help="default: %(default)s")
    add("--topic", help="image topic of recordings (default: the first with colour images)")
    add("--node", default="perception_node", help="whose topics a recording gets (default: %(default)s)")
    add_place_option(parser)
    add_scores_option(parser)
    _add_models(parser)
    return parser


def _add_models(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--model",
        default="household-lit",
        help="a name of `perception-contrast models list`, or an exported folder; one that knows words is "
        "the language model (default: %(default)s)",
    )
    add("--language-model", metavar="MODEL", help="what knows words, if --model is a spatial model")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add("--engine", default="torch", help="auto measures first (default: %(default)s)")
    add("--precision", default=AUTO, help=f"{AUTO}, {', '.join(PRECISIONS)} (default: %(default)s)")
    add("--offline", action="store_true", help="do not touch the network")
    add(
        "--short-side",
        type=positive_int,
        metavar="PX",
        help=f"image size for the encoder (default: that of the heads' training, else {_SHORT_SIDE})",
    )
    add("--batch", type=positive_int, metavar="N", help="frames in one pass (default: 8 on a GPU, else 1)")
    add("--threshold", type=float, metavar="P", help="probability of a detection (default: the model's own)")
    add("--mask-threshold", type=float, metavar="P", help="of a pixel in a recording's masks topic")
    add(
        "--max-detections",
        type=positive_int,
        default=100,
        metavar="N",
        help="of a frame (default: %(default)s)",
    )
    add(
        "--track-seconds",
        type=seconds,
        default=2.0,
        metavar="S",
        help="how long a thing out of sight keeps its id in videos and recordings (default: %(default)s)",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 1 if something could not be read or written. Raises PerceptionError."""
    options = _parser().parse_args(argv)
    vocabulary = _vocabulary(options)
    options.short_side = options.short_side or _short_side(options.head)
    formats = _formats(options.format)
    # Models take seconds to load: what is wrong with paths and the folder is said before.
    from perception_contrast.cli.find.find_journal import FindJournal
    from perception_contrast.cli.find.find_run import FindPlan
    from perception_contrast.cli.find.find_sources import find_sources
    from perception_contrast.pipeline.detector.search_options import SearchOptions

    found = find_sources(options.images, options.topic, options.save)
    sources = found.sources
    if not formats:
        formats = frozenset(FORMATS if any(one.recorded for one in sources) else FORMATS[:-1])
    _check_recordings(sources, formats, options.node)
    plan = FindPlan(
        options.save,
        sources,
        vocabulary,
        SearchOptions(options.threshold, options.mask_threshold, options.max_detections),
        formats,
        options.coco_masks,
        options.track_seconds,
        node=options.node,
        left_out=found.left_out,
        scores=options.scores,
    )
    if options.restart:
        remove_results(options.save)
    with FindJournal(options.save, _settings(options, plan)) as journal:
        return _run(options, plan, journal)


def _run(options: argparse.Namespace, plan: FindPlan, journal: FindJournal) -> int:
    from dataclasses import replace

    from perception_contrast.cli.find.find_outputs import report_of, write_outputs
    from perception_contrast.cli.find.find_run import FindRun, without_leftovers
    from perception_contrast.cli.frame_progress import FrameProgress

    detector = _detector(options)
    plan = replace(plan, batch=options.batch or (8 if detector.device.startswith("cuda") else 1))
    done = sum(journal.of(one.name).frames for one in plan.sources)
    with detector, FrameProgress(_total(plan), done) as progress:
        if done:
            progress.say(f"{done} frames were done before; going on")
        for line in plan.left_out:
            progress.say(f"left out: {line}")
        FindRun(plan, detector, journal, progress).search()
        failed = write_outputs(plan, journal, detector, progress)
        report = report_of(plan, journal, detector, failed)
        journal.finish(report)
        without_leftovers(plan)
        _tell(report, plan, progress.pace)
    return EXIT_UNREADABLE if report["unreadable_count"] or failed else 0


def _detector(options: argparse.Namespace) -> Detector:
    from perception_contrast.pipeline.detector.load import load
    from perception_contrast.pipeline.pipeline_settings import PipelineSettings

    return load(
        options.model,
        options.language_model,
        device=options.device,
        engine=options.engine,
        precision=options.precision,
        background=False,
        offline=options.offline,
        place=options.place,
        heads=options.head,
        settings=PipelineSettings(short_side=options.short_side),
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )


def _vocabulary(options: argparse.Namespace) -> Vocabulary:
    from perception_contrast.vocabulary.query_inputs import with_named

    queries = parse_queries(options.queries.split(","))
    distractors = [text.strip() for text in options.distractors.split(",") if text.strip()]
    trained = _trained(options.head)
    if options.vocabulary:
        return with_named(options.vocabulary, queries, distractors).with_trained(trained)
    if not queries and not trained:
        raise PerceptionError(
            'nothing to look for; give --queries "red mug, chair", --vocabulary household or --head RUN'
        )
    return Vocabulary.of(queries, distractors).with_trained(trained)


def _trained(heads: Sequence[str]) -> list[str]:
    """The classes of trained heads. Raises ModelError for what is none."""
    return [label for card in _cards(heads).values() for label in card.classes]


def _short_side(heads: Sequence[str]) -> int:
    """The size at which heads were trained: at another one they see other features."""
    sizes = {name: card.short_side for name, card in _cards(heads).items()}
    if len(set(sizes.values())) > 1:
        each = ", ".join(f"'{name}' at {size}" for name, size in sizes.items())
        raise PerceptionError(
            f"the heads were trained at different sizes ({each}); choose one: --short-side PX"
        )
    return next(iter(sizes.values()), _SHORT_SIDE)


def _cards(heads: Sequence[str]) -> dict[str, HeadCard]:
    """By the names that were given."""
    if not heads:
        return {}
    from perception_contrast.heads.head_files import read_card
    from perception_contrast.heads.registered_heads import named_head_path

    return {name: read_card(named_head_path(name)) for name in heads}


def _formats(text: str) -> frozenset[str]:
    """What --format names; empty where it names nothing."""
    chosen = [part.strip() for part in text.split(",") if part.strip()]
    for one in chosen:
        if one not in FORMATS:
            raise PerceptionError(f"--format: '{one}' is none of {', '.join(FORMATS)}")
    return frozenset({"json", *chosen}) if chosen else frozenset()


def _check_recordings(sources: Sequence[Any], formats: frozenset[str], node: str) -> None:
    """Raises PerceptionError for recordings that have our topics already."""
    if "mcap" not in formats:
        return
    from perception_contrast.cli.find.result_bag import require_free_topics
    from perception_contrast.recordings.bags import BagSource

    for source in sources:
        if not source.recorded:
            continue
        try:
            recording = BagSource(source.path)
        except PerceptionError:
            continue  # it is named among what cannot be read
        require_free_topics(recording, node)


def _settings(options: argparse.Namespace, plan: FindPlan) -> dict[str, Any]:
    """What the results depend on; a run of others does not continue them."""
    chosen = ("model", "language_model", "short_side", "threshold", "mask_threshold", "max_detections")
    queries = [
        {"label": q.label, "phrases": q.phrases, "negatives": q.negatives, "threshold": q.threshold}
        for q in plan.vocabulary.queries
    ]
    return {
        "queries": queries,
        "distractors": plan.vocabulary.distractors,
        **{name: getattr(options, name) for name in chosen},
        "track_seconds": options.track_seconds,
        "topic": options.topic,
        "node": options.node,
        "formats": sorted(plan.formats),
        **({"scores": True} if plan.scores else {}),
        **({"place": options.place} if options.place else {}),
        **({"heads": list(options.head)} if options.head else {}),
        "coco_masks": options.coco_masks,
    }


def remove_results(folder: Path) -> None:
    """Deletes what a run wrote, and nothing else that is in its folder."""
    from perception_contrast.cli.find.find_journal import REPORT, RESULTS, UNFINISHED_RESULTS
    from perception_contrast.cli.find.find_outputs import BAGS, COCO
    from perception_contrast.cli.find.find_run import LABEL_MAPS, OVERLAYS

    if not any((folder / name).exists() for name in (REPORT, RESULTS, UNFINISHED_RESULTS)):
        return
    for name in (RESULTS, UNFINISHED_RESULTS, COCO, REPORT):
        (folder / name).unlink(missing_ok=True)
    for name in (OVERLAYS, BAGS, LABEL_MAPS):
        shutil.rmtree(folder / name, ignore_errors=True)


def _total(plan: FindPlan) -> int:
    """Frames of all sources; 0 if a source cannot tell."""
    counts = []
    for source in plan.sources:
        try:
            counts.append(source.count())
        except PerceptionError:
            counts.append(1)
    return sum(counts) if all(counts) else 0


def _tell(report: dict[str, Any], plan: FindPlan, pace: str) -> None:
    found = ", ".join(f"{count} {label}" for label, count in report["detections"].items() if count)
    print(f"{report['frames']} frames, {pace}: {found or 'nothing was found'}")
    if report["unreadable_count"]:
        print(f"{report['unreadable_count']} could not be read; {plan.folder / 'find.json'} names them")
    if report["lost_count"]:
        print(f"recordings lost something ({report['lost_count']} notes in {plan.folder / 'find.json'})")
    print(f"results: {plan.folder}")
