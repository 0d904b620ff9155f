"""`perception-contrast demo`: a source and perception_node as processes over DDS, shown and measured."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from perception_contrast.cli.argument_types import add_place_option, add_scores_option
from perception_contrast.cli.demo.child_processes import Child, Children
from perception_contrast.cli.demo.demo_graph import (
    KINDS,
    Program,
    Source,
    default_short_side,
    environment,
    free_domain,
    is_port_free,
    make_source,
    map_program,
)
from perception_contrast.cli.demo.demo_report import Measurements, build_report, write_report
from perception_contrast.cli.demo.live_table import Display, display
from perception_contrast.cli.demo.saved_images import ImageRecorder
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.process.processor_time import processor_seconds
from perception_contrast.models.registry import model_spec

if TYPE_CHECKING:
    from perception_contrast.cli.demo.demo_studio import DemoStudio
    from perception_contrast.cli.demo.listener_node import DemoListener

_STEP = 0.25  # seconds between two checks of children, table and clock
_REMEDY = "`source env.sh` after `make setup`, or source your ROS 2 workspace"
_RESULT_TIMEOUT = 60.0  # seconds without any result of an active node


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="perception-contrast demo",
        description="Runs a camera and perception_node, shows what is seen, and measures it.",
    )
    parser.add_argument(
        "--source",
        nargs="+",
        default=["sim"],
        metavar="WORD",
        help="sim (default), bag PATH, video FILE, images FOLDER, webcam NUMBER",
    )
    parser.add_argument("--topic", help="the recording's image topic; default: the one with colour images")
    parser.add_argument("--queries", help='queries, separated by commas: "red mug, chair: seat; armchair"')
    parser.add_argument("--duration", type=float, metavar="S", help="end this long after the first result")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write what was measured as JSON")
    parser.add_argument("--save", type=Path, metavar="DIR", help="keep an overlay a second as PNG")
    add_place_option(parser)
    add_scores_option(parser)
    parser.add_argument("--model", default="dinov2-s14", help="image encoder (default %(default)s)")
    parser.add_argument("--language-model", default="household-lit", help="default %(default)s")
    parser.add_argument("--short-side", type=int, metavar="PX", help="image size for the encoder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--engine",
        default="torch",
        help="default %(default)s; auto measures first, a minute at its first start",
    )
    parser.add_argument(
        "--map",
        nargs="?",
        const="",
        metavar="NAME",
        help="build a 3D map too, and say at the end where things are; with NAME it is kept. Needs depth and "
        "poses, as of sim",
    )
    parser.add_argument(
        "--no-studio", action="store_true", help="without the page in the browser that shows the demo"
    )
    parser.add_argument(
        "--studio-port",
        type=int,
        default=8080,
        metavar="N",
        help="of that page, 0 for a free one (%(default)s)",
    )
    parser.add_argument("--offline", action="store_true", help="do not touch the network")
    parser.add_argument("--seed", type=int, default=1, help="of the simulated household")
    parser.add_argument("--domain-id", type=int, help="ROS domain; default: $ROS_DOMAIN_ID or a free one")
    return parser


def demo_queries(text: str | None, source: Source) -> list[str]:
    """Queries of the command line, or those that suit the source."""
    queries = [part.strip() for part in text.split(",")] if text is not None else list(source.queries)
    wanted = [query for query in queries if query]
    if not wanted:
        raise PerceptionError('--queries names nothing; give for example "red mug, chair"')
    return wanted


def _perception(options: argparse.Namespace, source: Source, queries: list[str]) -> Program:
    parameters = {
        "model": options.model,
        "language_model": options.language_model,
        "device": options.device,
        "engine": options.engine,
        "offline": options.offline,
        "image_transport": "compressed" if source.compressed else "raw",
        "queries": queries,
        "short_side": options.short_side or default_short_side(),
        "overlay_scores": options.scores,
        "place": options.place,
    }
    return Program("perception_node", parameters, {"image": source.base})


def _domain(chosen: int | None) -> int:
    if chosen is not None:
        return chosen
    text = os.environ.get("ROS_DOMAIN_ID", "")
    return int(text) if text.isdecimal() else free_domain()


class _StopSignal:
    """True once SIGINT, SIGTERM or SIGHUP has come."""

    def __init__(self) -> None:
        self.received = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._set)

    def _set(self, number: int, frame: FrameType | None) -> None:
        self.received = True


def _child_error(child: Child) -> PerceptionError:
    lines = "\n".join(f"  {line}" for line in child.last_lines(12))
    return PerceptionError(f"{child.name} ended (exit code {child.exit_code()}); its last lines:\n{lines}")


class DemoRun:
    """One run of the demo, from the start of its processes to their end."""

    def __init__(self, options: argparse.Namespace, source: Source, screen: Display) -> None:
        self._options, self._source, self._screen = options, source, screen
        self._stop_signal = _StopSignal()
        self._recorder = ImageRecorder(options.save)
        self._status = "starting"
        self.studio: DemoStudio | None = None
        self._last_progress = time.monotonic()
        self.measured = Measurements(stamped_live=source.stamped_live)
        self.queries = demo_queries(options.queries, source)

    def run(self, children: Children, listener: DemoListener) -> None:
        """Runs until the duration is over or a signal comes. Raises PerceptionError if a child ends."""
        while not self._stop_signal.received:
            listener.spin(_STEP)
            ended = children.ended()
            if ended is not None:
                raise _child_error(ended)
            now = time.monotonic()
            self._show_output(children)
            for line in self.studio.news() if self.studio is not None else ():
                self._screen.say(line)
            if listener.problem and self.measured.node.get("state") == "active":
                self._status = listener.problem
            self._recorder.save(listener, now)
            for name, pid in [*((child.name, child.pid) for child in children), ("demo", os.getpid())]:
                self.measured.processor_time(name, now, processor_seconds(pid))
            self._screen.show(self.measured, now, listener.image_size, self._status)
            self._check_progress(listener, now)
            duration = self._options.duration
            if duration is not None and self.measured.elapsed(now) >= duration:
                return

    def _show_output(self, children: Children) -> None:
        """Shows the children's output: all of it while they load, later only warnings and errors."""
        for child in children:
            for line in child.new_lines():
                plain = line.removeprefix("[INFO] ")
                if self.measured.started is None or plain == line:
                    self._screen.say(f"{child.name}: {plain}")
                self._status = f"{child.name}: {plain}"

    def _check_progress(self, listener: DemoListener, now: float) -> None:
        if self.measured.node.get("state") != "active" or self.measured.frames_out:
            self._last_progress = now
        elif now - self._last_progress > _RESULT_TIMEOUT:
            reason = listener.problem or "see the messages above"
            raise PerceptionError(
                f"no result within {_RESULT_TIMEOUT:.0f} s though the node is active: {reason}"
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when it ends by time or by signal. Raises PerceptionError."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.duration is not None and options.duration <= 0:
        parser.error("--duration must be more than 0 seconds")
    if len(options.source) > 2 or options.source[0] not in KINDS:
        parser.error(f"--source: {' '.join(options.source)}: one of {', '.join(KINDS)} and what to play")
    for package in ("rclpy", "perception_contrast_msgs", "vision_msgs"):
        if importlib.util.find_spec(package) is None:
            raise PerceptionError(f"ROS package '{package}' cannot be imported; {_REMEDY}")
    for name in (options.model, options.language_model):
        if name not in ("", "none"):
            model_spec(name)  # an unknown one is refused before anything starts
    source = make_source(options.source, seed=options.seed, offline=options.offline, topic=options.topic)
    screen = display()
    try:
        return _run(DemoRun(options, source, screen), options, source, screen)
    finally:
        screen.close()


def _run(run: DemoRun, options: argparse.Namespace, source: Source, screen: Display) -> int:
    domain = _domain(options.domain_id)
    values = environment(domain)
    screen.say(f"source: {source.name}; looking for: {', '.join(run.queries)}; ROS_DOMAIN_ID={domain}")
    with (
        tempfile.TemporaryDirectory(prefix="perception_contrast_") as folder,
        Children() as beside,
        Children() as children,
    ):
        mapping = [] if options.map is None else [map_program(source, options.map)]
        for program in (_perception(options, source, run.queries), *mapping, source.program):
            children.start(program.module, program.command(Path(folder)), values)
        run.studio = _studio(options, beside, values, screen)
        os.environ.update(values)
        from perception_contrast.cli.demo.listener_node import (
            DemoListener,
        )  # rclpy reads the environment when it is first used

        listener = DemoListener(
            run.measured, source.topic, source.type, domain, images=options.save is not None
        )
        answers: dict[str, Any] | None = None
        try:
            run.run(children, listener)
            ended = time.monotonic()
            if mapping:
                answers = _ask_map(run, listener, screen)
        finally:
            ended = time.monotonic() if answers is None else ended
            listener.close()
    if options.report is not None:
        report = build_report(run.measured, ended, source=source.name, queries=run.queries, lost=source.lost)
        if answers is not None:
            report["map"] = answers
        write_report(options.report, report)
        screen.say(f"report: {options.report}")
    return 0


def _studio(
    options: argparse.Namespace, children: Children, values: dict[str, str], screen: Display
) -> DemoStudio | None:
    if options.no_studio:
        return None
    from perception_contrast.cli.demo.demo_studio import DemoStudio, studio_problem

    if problem := studio_problem():
        screen.say(problem)
        return None
    port = options.studio_port
    if port and not is_port_free(port, socket.SOCK_STREAM):
        screen.say(f"studio: port {port} is taken, so it gets a free one; --studio-port chooses another")
        port = 0
    return DemoStudio(children, port, values, terminal=sys.stdout.isatty())


def _ask_map(run: DemoRun, listener: DemoListener, screen: Display) -> dict[str, Any]:
    """Where the map has each thing, beside where the simulator has it."""
    from perception_contrast.cli.demo.demo_map import TrueObjects, lines_of, map_answers, wait_for_truth

    truth = TrueObjects(listener.node)
    wait_for_truth(listener.spin, truth)
    labels = [query.partition(":")[0].strip() for query in run.queries]
    answers = map_answers(labels, truth.places)
    for line in lines_of(answers):
        screen.say(line)
    return answers
