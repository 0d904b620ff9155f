"""`perception-contrast eval`: how good the pipeline is on data with known answers."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from perception_contrast.cli.argument_types import (
    add_place_option,
    non_negative_int,
    positive_int,
    tile_side,
)
from perception_contrast.core.errors import PerceptionError
from perception_contrast.engines.engine_names import AUTO, KINDS, PRECISIONS
from perception_contrast.pipeline.pipeline_settings import AUTO_TILE
from perception_contrast_training.cli.eval_options import Job, Options
from perception_contrast_training.cli.ray_arguments import add_ray, where_of
from perception_contrast_training.evaluation.readers.types import Skipped
from perception_contrast_training.evaluation.report import Outcome, markdown, write_images, write_json
from perception_contrast_training.fleet.map_items import joined_to

TASKS = ("photos", "seg", "det", "track", "classify", "propagate", "exemplars", "familiarity", "map")
_APART = "leave --ray out, and give each sequence a command of its own"
# Tasks whose images cannot be measured apart from each other: why, and what to do instead.
WHOLE_TASKS = {
    "track": f"follows things from frame to frame; {_APART}",
    "propagate": f"follows marks from frame to frame; {_APART}",
    "exemplars": "takes what it searches from one frame of the recording; leave --ray out",
    "map": "builds each room's map frame by frame; leave --ray out, and share the rooms among commands with "
    "--seed and --rooms",
    "seg --probe": "fits one layer to the features of all images; leave --ray out",
}
NAMED_TASKS = ("photos", "familiarity")  # that read labelled photographs, whose labels --names explains
_EPILOG = """\
data by task:
  photos     labelled photographs: NYU Depth V2, ADE20K, COCO, VOC, YOLO polygons, or images/ with labels/
  seg        a folder with images/ and labels/ (class numbers as PNG), or household[:SCENES]
  det        a COCO JSON, or household[:SCENES]
  track      a MOTChallenge folder, a COCO JSON with track ids, or household[:FRAMES]
  classify   a folder of images for each class, also as .zip
  propagate  a folder of frames (with labels/ if there are any), a video file or a recording
  exemplars  a recording, with --boxes
  map        household[:FRAMES], the frames of a loop; --rooms of them from --seed on
  familiarity  images, a video or a recording, or labelled photographs; and --against others

docs/evaluate.md says what each figure is and how it is named in the JSON.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast eval",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--task", required=True, choices=TASKS)
    add("--data", required=True, help="what to measure on; see below")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    add("--out", type=Path, metavar="DIR", help="write images: confusions, curves, worst cases, overlays")
    _add_pipeline(parser)
    add_ray(parser.add_argument_group("cluster", "for photos, seg, det, classify and familiarity"))
    _add_data(parser)
    probe = parser.add_argument_group("seg --probe")
    probe.add_argument("--probe", action="store_true", help="fit a linear layer on the encoder's features")
    probe.add_argument(
        "--train", type=positive_int, metavar="N", help="first images to fit (default: the rest)"
    )
    probe.add_argument(
        "--test", type=positive_int, metavar="N", help="last images to test (default: a quarter)"
    )
    _add_propagate(parser)
    shown = parser.add_argument_group("exemplars")
    shown.add_argument("--boxes", type=Path, metavar="FILE.json", help="COCO boxes on the recording's frames")
    familiar = parser.add_argument_group("familiarity")
    familiar.add_argument(
        "--against", action="append", default=[], metavar="DATA", help="to be told from; may be repeated"
    )
    return parser


def _add_pipeline(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("pipeline")
    add_place_option(group)
    add = group.add_argument
    add("--model", default="dinov2-s14", help="image encoder (default: %(default)s)")
    add("--language-model", default="household-lit", help="what knows words (default: %(default)s)")
    add("--engine", default="torch", help=f"{AUTO}, {', '.join(KINDS)} (default: %(default)s)")
    add("--precision", default=AUTO, help=f"{AUTO}, {', '.join(PRECISIONS)} (default: %(default)s)")
    add("--device", default=AUTO, help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add("--dense", default=AUTO, help="way to features that words are compared with (default: %(default)s)")
    add("--calibration", type=Path, metavar="FILE", help="of words (default: where the node looks for it)")
    add(
        "--tile",
        type=tile_side,
        default=AUTO_TILE,
        metavar="PIXELS|auto",
        help="side of tiles, 0 for none (default: auto, which suits the model)",
    )
    add(
        "--short-side", type=positive_int, metavar="PIXELS", help="of the network input (default: the node's)"
    )
    add(
        "--zoom",
        type=non_negative_int,
        metavar="VIEWS",
        help="of regions seen again, at most (default: the node's)",
    )
    add(
        "--max-tokens",
        type=positive_int,
        metavar="N",
        help="patches of an image at most (default: the node's)",
    )
    add("--offline", action="store_true", help="do not touch the network")


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("data").add_argument
    add("--vocabulary", metavar="TEXT|FILE", help='"road, car: car; van", or a YAML, JSON or text file')
    add(
        "--names",
        action="append",
        default=[],
        metavar="FILE.yaml",
        help="photos, familiarity: names of your own, as training's photographs.names; may be repeated",
    )
    add("--images", type=Path, metavar="DIR", help="images of a COCO JSON (default: beside it)")
    add(
        "--ignore",
        type=non_negative_int,
        action="append",
        default=[],
        metavar="N",
        help="label that does not count, beside 255; may be repeated",
    )
    add("--limit", type=positive_int, default=0, metavar="N", help="use this many images or frames at most")
    add(
        "--seed",
        type=non_negative_int,
        default=0,
        help="of everything that is drawn by chance (default: %(default)s)",
    )
    add("--held-out", action="store_true", help="household: with categories that training never saw")
    add("--seen", action="store_true", help="household: with the shapes and textures of training")
    add(
        "--absent",
        type=non_negative_int,
        default=20,
        metavar="N",
        help="det, map: absent names asked for in each image or room (default: %(default)s)",
    )
    add("--rooms", type=positive_int, default=6, metavar="N", help="map: rooms (default: %(default)s)")
    add("--rate", type=_rate, default=5.0, metavar="HZ", help="track: frames a second (default: %(default)s)")


def _add_propagate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("propagate").add_argument
    add("--topic", help="of a recording (default: its first colour images)")
    add("--start-mask", type=Path, metavar="FILE.png", help="things in the first frame, a number each")
    add(
        "--start-box",
        type=_box,
        action="append",
        default=[],
        metavar="X0,Y0,X1,Y1",
        help="a thing in the first frame; may be repeated",
    )
    add(
        "--homographies",
        type=non_negative_int,
        default=20,
        metavar="N",
        help="frames seen again for PCK (default: %(default)s)",
    )


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 1000.0:
        raise argparse.ArgumentTypeError(f"'{text}' is no rate in frames a second")
    return value


def _box(text: str) -> tuple[int, int, int, int]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is no box; write x_min,y_min,x_max,y_max in pixels")
    return int(parts[0]), int(parts[1]), int(parts[2]), int(parts[3])


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0. Raises PerceptionError."""
    arguments = _parser().parse_args(argv)
    options = _options(arguments)
    _require_writable(arguments.json, arguments.out)
    job, began = Job(options, Skipped(), where=where_of(arguments)), time.perf_counter()
    try:
        with joined_to(job.where):
            outcome = _task(options)(job)
        images = write_images(arguments.out, outcome) if arguments.out else []
    except OSError as error:
        raise PerceptionError(f"a file cannot be read or written: {error}") from error
    outcome.notes[:0] = job.notes
    content = _content(options, outcome, job.skipped, time.perf_counter() - began)
    if arguments.json:
        write_json(arguments.json, content)
    print(markdown(outcome))
    _tell(job.skipped, images)
    return 0


def _options(arguments: argparse.Namespace) -> Options:
    if arguments.probe and arguments.task != "seg":
        raise PerceptionError("--probe goes with --task seg")
    if arguments.names and arguments.task not in NAMED_TASKS:
        raise PerceptionError(f"--names goes with --task {' or '.join(NAMED_TASKS)}")
    task = "seg --probe" if arguments.probe else arguments.task
    if arguments.ray and task in WHOLE_TASKS:
        raise PerceptionError(f"--ray does not go with --task {task}, which {WHOLE_TASKS[task]}")
    return Options(
        task=arguments.task,
        data=arguments.data,
        model=arguments.model,
        language_model=arguments.language_model,
        engine=arguments.engine,
        precision=arguments.precision,
        device=arguments.device,
        short_side=arguments.short_side,
        zoom=arguments.zoom,
        max_tokens=arguments.max_tokens,
        tile=arguments.tile,
        dense=arguments.dense,
        calibration=arguments.calibration,
        place=arguments.place,
        vocabulary=arguments.vocabulary,
        names=tuple(arguments.names),
        images=arguments.images,
        ignore=tuple(arguments.ignore),
        seed=arguments.seed,
        limit=arguments.limit,
        offline=arguments.offline,
        held_out=arguments.held_out,
        seen=arguments.seen,
        absent=arguments.absent,
        rooms=arguments.rooms,
        probe=arguments.probe,
        train=arguments.train,
        test=arguments.test,
        topic=arguments.topic,
        start_mask=arguments.start_mask,
        start_boxes=tuple(arguments.start_box),
        homographies=arguments.homographies,
        rate=arguments.rate,
        boxes=arguments.boxes,
        against=tuple(arguments.against),
        draw=arguments.out is not None,
    )


def _task(options: Options) -> Callable[[Job], Outcome]:
    """Its module is loaded only now: help and refusals come at once."""
    if options.probe:
        from perception_contrast_training.evaluation.tasks.probe import probe

        return probe
    if options.task == "photos":
        from perception_contrast_training.evaluation.tasks.photos import photographs

        return photographs
    if options.task == "seg":
        from perception_contrast_training.evaluation.tasks.seg import segment

        return segment
    if options.task == "det":
        from perception_contrast_training.evaluation.tasks.det import detect

        return detect
    if options.task == "track":
        from perception_contrast_training.evaluation.tasks.track import track

        return track
    if options.task == "classify":
        from perception_contrast_training.evaluation.tasks.classify import classify

        return classify
    if options.task == "exemplars":
        from perception_contrast_training.evaluation.tasks.exemplars import exemplars

        return exemplars
    if options.task == "map":
        from perception_contrast_training.evaluation.tasks.map import map_rooms

        return map_rooms
    if options.task == "familiarity":
        from perception_contrast_training.evaluation.tasks.familiarity import familiarity

        return familiarity
    from perception_contrast_training.evaluation.tasks.propagate import propagate

    return propagate


def _require_writable(file: Path | None, folder: Path | None) -> None:
    """Makes the folders before anything is measured. Raises PerceptionError."""
    if file is not None and file.is_dir():
        raise PerceptionError(f"{file} is a folder; name a file to write")
    for needed in (file.parent if file else None, folder):
        try:
            if needed is not None:
                needed.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PerceptionError(f"{needed} cannot be written: {error}") from error


def _content(options: Options, outcome: Outcome, skipped: Skipped, seconds: float) -> dict[str, Any]:
    """What --json writes, as docs/evaluate.md has it."""
    settings = {
        key: str(value) if isinstance(value, Path) else value for key, value in asdict(options).items()
    }
    del settings["draw"]
    return {
        "task": "probe" if options.probe else options.task,
        "settings": settings,
        "figures": outcome.figures,
        "notes": outcome.notes,
        "skipped": skipped.files,
        "seconds": round(seconds, 2),
    }


def _tell(skipped: Skipped, images: Sequence[Path]) -> None:
    """What was left out, and where the images are."""
    if skipped.files:
        count, first = len(skipped.files), next(iter(skipped.files.values()))
        print(f"\n{count} could not be decoded and did not count; the first: {first}")
    if images:
        print(f"\n{len(images)} images in {images[0].parent}")
