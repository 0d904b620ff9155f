"""`perception-contrast map SOURCE`: a recording, or the simulated household, becomes a 3D map."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception_contrast.cli.argument_types import positive_int
from perception_contrast.cli.map.map_arguments import require_file_place
from perception_contrast.core.counted import counted
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import writing
from perception_contrast.core.vocabulary import Vocabulary, parse_queries

if TYPE_CHECKING:
    from perception_contrast.cli.map.map_run import MapRun
    from perception_contrast.core.frame import PosedFrame

# Names of sources that other packages offer, such as the simulation: functions of a seed and a count.
SOURCES = "perception_contrast.map_sources"
_EPILOG = """\
examples:
  perception-contrast map my_recording --query "red mug, chair" --save kitchen --report out.json
  perception-contrast map sim --seed 7 --query "mug" --picture map.png
  perception-contrast map query kitchen "red mug"
  perception-contrast map info kitchen

A recording needs colour images, depth, calibrations and transforms: a rosbag2 folder, or
an .mcap or .db3 file. `sim` is the simulated household.

with a saved map: compact, delete, export, forget, info, list, merge, query, recall, reembed; each has its
own --help.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast map",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("source", metavar="SOURCE", help="a recording, or sim")
    add("--query", default="", metavar="TEXT", help='with commas: "red mug, seat: a sofa; a chair; !stool"')
    add("--vocabulary", default="", metavar="NAME|FILE", help="a named vocabulary or its YAML file")
    add("--save", default="", metavar="NAME", help="keep the map and its memory under this name")
    add("--report", type=Path, metavar="FILE", help="write the answers and figures as JSON")
    add("--picture", type=Path, metavar="FILE.png", help="the map from above with the answers drawn")
    add("--view", action="store_true", help="show the map in a window, where there is a display")
    add("--topic", help="topic of the images (default: the first with colour images)")
    add("--depth-topic", help="topic of the depth (default: the one whose name is nearest)")
    add("--map-frame", help="frame of the map (default: map, odom or world, or the root of the transforms)")
    add("--every", type=positive_int, default=1, metavar="N", help="take each N-th image (default: all)")
    add("--frames", type=positive_int, metavar="N", help="stop after N frames (sim: 40)")
    add("--seed", type=int, default=1, help="of the simulated household (default: %(default)s)")
    add("--voxel", type=float, default=0.05, metavar="M", help="side of a voxel in metres (%(default)s)")
    add("--max-range", type=float, default=5.0, metavar="M", help="of the depth in metres (%(default)s)")
    add("--no-surface", action="store_true", help="build no surface; needs no Open3D")
    add("--model", default="dinov2-s14", help="image encoder (default: %(default)s)")
    add("--language-model", default="household-lit", help="model of words (default: %(default)s)")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add("--engine", default="torch", help="auto measures first (default: %(default)s)")
    add("--offline", action="store_true", help="do not touch the network")
    add("--short-side", type=positive_int, default=378, metavar="PX", help="image size (%(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0; raises PerceptionError."""
    options = _parser().parse_args(argv)
    vocabulary = _vocabulary(options)
    _check(options)
    source = opened_source(options)
    from perception_contrast.cli.frame_progress import FrameProgress
    from perception_contrast.cli.map.map_run import MapRun

    run = MapRun.of_options(options, vocabulary)
    total = source.count() // options.every
    with run, FrameProgress(min(total, options.frames or total), 0, what="mapping") as progress:
        for number, posed in enumerate(_chosen(source, options)):
            if options.save and not run.frames:
                # Only now the source knows the frame of its poses.
                run.keep(options.save, source.map_frame)
            run.add(posed, number)
            progress.step()
    if not run.frames:
        reasons = ", ".join(f"{reason} {count}" for reason, count in source.skipped.items()) or "no images"
        raise PerceptionError(f"'{options.source}' gave no frame with depth and pose ({reasons})")
    return _finish(options, run, source)


def _finish(options: argparse.Namespace, run: MapRun, source: Any) -> int:
    answers = run.answers()
    report = run.report(answers) | {
        "source": str(options.source),
        "frame": source.map_frame,
        "skipped": dict(source.skipped),
    }
    if options.save:
        report["saved"] = options.save
    if options.report:
        with writing(options.report) as part:
            part.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if options.picture:
        run.draw(options.picture, answers)
    _tell(options, report)
    if options.view:
        from perception_contrast.cli.map.map_viewer import show

        print(show(run.own, str(options.source), source.map_frame))
    return 0


def _tell(options: argparse.Namespace, report: dict[str, Any]) -> None:
    figures = report["map"]
    if report["problem"]:
        print(f"warning: {report['problem']}")
    print(
        f"{counted(report['frames'], 'frame')}, {counted(figures['objects'], 'object')}, "
        f"{counted(figures['voxels'], 'voxel')}, "
        f"{report['milliseconds']['integrate']:.0f} ms a frame for the map"
    )
    for query, answer in report["answers"].items():
        print(f"{query}: {answer['message']}")
        for hit in answer["hits"][:3]:
            x, y, z = hit["position"]
            print(f"  {hit['label'] or 'a place'} {hit['score']:.2f} at x {x:.2f} y {y:.2f} z {z:.2f} m")
    for name, value in (("map", options.save), ("report", options.report), ("picture", options.picture)):
        if value:
            print(f"{name}: {value}")


def _vocabulary(options: argparse.Namespace) -> Vocabulary:
    from perception_contrast.vocabulary.query_inputs import with_named

    queries = parse_queries(options.query.split(","))
    if options.vocabulary:
        return with_named(options.vocabulary, queries, ())
    if not queries:
        raise PerceptionError('nothing to look for; give --query "red mug, chair" or --vocabulary household')
    return Vocabulary.of(queries)


def _check(options: argparse.Namespace) -> None:
    """Raises PerceptionError for what can be said before models are loaded."""
    if not 0.01 <= options.voxel <= 0.5:
        raise PerceptionError(f"--voxel {options.voxel:g} is not between 0.01 and 0.5 metres")
    if not 0.5 <= options.max_range <= 50:
        raise PerceptionError(f"--max-range {options.max_range:g} is not between 0.5 and 50 metres")
    if options.save:
        from perception_contrast.mapping.storage.map_folder import MapFolder

        maps = MapFolder()
        maps.path(options.save)
        if options.save in maps.names():
            raise PerceptionError(
                f"there is a map '{options.save}' already; choose another --save, or delete it"
            )
    for path in (options.report, options.picture):
        if path is not None:
            require_file_place(path)


def opened_source(options: argparse.Namespace) -> Any:
    """What gives posed frames: a recording, or a source that another package offers by name.

    Raises:
        PerceptionError: There is no such recording, or it lacks something that a map needs.
    """
    offered = {one.name: one for one in entry_points(group=SOURCES)}
    if options.source in offered and not Path(options.source).exists():
        return offered[options.source].load()(seed=options.seed, frames=options.frames or 40)
    if options.source == "sim":
        raise PerceptionError(
            "sim needs the simulation; install perception_contrast_sim, or give a recording"
        )
    from perception_contrast.mapping.sources.posed_recording import PosedRecording

    return PosedRecording(
        options.source,
        image_topic=options.topic,
        depth_topic=options.depth_topic,
        map_frame=options.map_frame,
    )


def _chosen(source: Any, options: argparse.Namespace) -> Iterator[PosedFrame]:
    taken = 0
    for number, posed in enumerate(source):
        if number % options.every:
            continue
        yield posed
        taken += 1
        if options.frames and taken >= options.frames:
            return
