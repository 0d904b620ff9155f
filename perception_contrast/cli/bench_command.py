"""`perception-contrast bench`: times of each stage of a frame on this machine, and of other libraries."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perception_contrast.cli.argument_types import positive_int
from perception_contrast.core.errors import PerceptionError
from perception_contrast.encoders.dense.method_names import METHODS
from perception_contrast.engines.engine_names import AUTO, KINDS, PRECISIONS

if TYPE_CHECKING:
    from perception_contrast.bench.bench_run import Measured, Options

_EPILOG = """\
All stages alternate with the processing of a whole frame, round after round, so their times can be compared.
With --compare the model's forward pass alternates with timm, transformers, open_clip, plain ONNX Runtime
and OpenVINO on the same input and threads, each in the precisions that pass our gate.
docs/measure.md says what each row means.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast bench",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", default="dinov2-s14", help="image encoder (default: %(default)s)")
    add("--language-model", default="household-lit", help="model for text, or none (default: %(default)s)")
    add(
        "--dense",
        choices=(AUTO, *METHODS),
        default=AUTO,
        help="how dense features for text come about (default: %(default)s)",
    )
    add(
        "--size",
        type=_size,
        metavar="HxW",
        help="height and width of the network input, multiples of the patch (default: by the camera's shape)",
    )
    add("--camera", type=_size, default="640x480", metavar="WxH", help="camera image (default: %(default)s)")
    add("--encoding", default="rgb8", help="of the camera, or jpeg (default: %(default)s)")
    add("--engine", default=AUTO, help=f"{AUTO}, {', '.join(KINDS)} (default: %(default)s)")
    add("--precision", default=AUTO, help=f"{AUTO}, {', '.join(PRECISIONS)} (default: %(default)s)")
    add("--device", default=AUTO, help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add(
        "--batch",
        type=positive_int,
        default=1,
        metavar="N",
        help="images a forward pass; a frame is always one",
    )
    add("--threads", type=positive_int, metavar="N", help="processors to use (default: all)")
    much = parser.add_mutually_exclusive_group()
    much.add_argument(
        "--seconds", type=_seconds, default=20.0, metavar="S", help="for each part (default: 20)"
    )
    much.add_argument("--rounds", type=positive_int, metavar="N", help="in place of --seconds")
    add("--compare", action="store_true", help="measure other libraries too")
    add("--no-dds", action="store_true", help="send no messages to another process")
    add("--random-init", action="store_true", help="no weights at all: times alone")
    add("--offline", action="store_true", help="do not touch the network")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    add("--plot", type=Path, metavar="FILE.png", help="draw the stages and the comparison")
    return parser


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text.strip())
    if not match or not int(match[1]) or not int(match[2]):
        raise argparse.ArgumentTypeError(f"'{text}' is no size; write two numbers, such as 336x336")
    return int(match[1]), int(match[2])


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is no time in seconds")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0. Raises PerceptionError."""
    arguments = _parser().parse_args(argv)
    _require_files(arguments.json, arguments.plot)

    from rich.console import Console

    from perception_contrast.bench.bench_report import report_of, show, write_report
    from perception_contrast.bench.bench_run import run_benchmark
    from perception_contrast.bench.plot import write_plot

    report = report_of(_with_progress(run_benchmark, _options(arguments)))
    show(report, Console())
    if arguments.json:
        write_report(report, arguments.json)
    if arguments.plot:
        write_plot(report, arguments.plot)
    return 0


def _require_files(*paths: Path | None) -> None:
    """Makes their folders before anything is measured. Raises PerceptionError."""
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise PerceptionError(f"{path} is a folder; name a file to write")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PerceptionError(f"{path} cannot be written: {error}") from error


def _options(arguments: argparse.Namespace) -> Options:
    from perception_contrast.bench.bench_run import Options
    from perception_contrast.bench.timing import Limit

    width, height = arguments.camera
    return Options(
        model=arguments.model,
        language_model=arguments.language_model.strip() or "none",
        size=arguments.size,
        camera=(height, width),
        encoding=arguments.encoding,
        engine=arguments.engine,
        precision=arguments.precision,
        device=arguments.device,
        dense=arguments.dense,
        batch=arguments.batch,
        threads=arguments.threads,
        limit=Limit(arguments.rounds, arguments.seconds),
        compare=arguments.compare,
        random_init=arguments.random_init,
        offline=arguments.offline,
        environment=None if arguments.no_dds else _environment(),
    )


def _environment() -> Mapping[str, str]:
    """A ROS domain of its own on this machine alone."""
    from perception_contrast.cli.demo.demo_graph import environment, free_domain

    return environment(free_domain())


def _with_progress(run: Callable[..., Measured], options: Options) -> Measured:
    """Bars with the time that is left, on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        now = progress.add_task("loading", total=None)
        bars: dict[str, TaskID] = {}

        def on_progress(text: str) -> None:
            progress.update(now, description=text)

        def on_round(what: str, share: float) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=1.0)
                on_progress("measuring")
            progress.update(bars[what], completed=share)

        return run(options, on_progress, on_round)
