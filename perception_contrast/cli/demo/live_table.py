"""Output of a running demo: a live table on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
from typing import Protocol

from rich.console import Console, JustifyMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

from perception_contrast.cli.demo.demo_graph import usable_cores
from perception_contrast.cli.demo.demo_report import Measurements, SeenObject, percentiles

_LINE_EVERY = 5.0  # seconds between plain lines
_SHOWN = 10  # detections of the newest frame that are listed
_RESCORING = "zoom"  # its stage in the node's diagnostics
_SUMS = ("process", "total", "stamp_to_published")  # of other stages


def place(box: tuple[float, float, float, float], size: tuple[int, int]) -> str:
    """Where the centre of a box lies in an image (height, width): one of nine fields, in words."""
    height, width = size
    column = min(int(3 * (box[0] + box[2]) / 2 / max(width, 1)), 2)
    row = min(int(3 * (box[1] + box[3]) / 2 / max(height, 1)), 2)
    words = (("upper ", "", "lower ")[row] + ("left", "centre", "right")[column]).strip()
    return words


def _strongest(seen: tuple[SeenObject, ...]) -> list[SeenObject]:
    return sorted(seen, key=lambda one: -one.score)[:_SHOWN]


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def summary(measured: Measurements, now: float, size: tuple[int, int]) -> str:
    """One line: time, frames, rate, latency, and the best detection of each label in the newest frame."""
    latency = percentiles(measured.latencies_ms)
    best: dict[str, SeenObject] = {}
    for one in _strongest(measured.newest):
        best.setdefault(one.label, one)
    seen = ", ".join(f"{s.label} {s.score:.2f} {place(s.box, size)}" for s in best.values())
    return (
        f"{measured.elapsed(now):6.1f} s  {measured.frames_out} frames  {measured.fps(now):.1f}/s  "
        f"latency {_number(latency['p50'])} ms (p95 {_number(latency['p95'])})  {_rescoring(measured)}"
        f"{_loads(measured)}  sees: {seen or 'none of the queries'}"
    )


def _rescoring(measured: Measurements) -> str:
    """The second look's time and share of a frame; "" where none is taken."""
    median = measured.stages_ms.get(_RESCORING, {}).get("p50")
    share = measured.stage_shares().get(_RESCORING)
    if median is None or share is None:
        return ""
    return f"{_RESCORING} {_number(median)} ms ({100 * share:.0f} %)  "


def _loads(measured: Measurements) -> str:
    """Cores that each process keeps busy."""
    each = ", ".join(f"{name} {load.cores:.2f}" for name, load in measured.loads.items())
    return f"{each or 'none'} of {usable_cores()} cores"


def _columns(**justify: JustifyMethod) -> Table:
    """An empty table; names of columns with their alignment."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, side in justify.items():
        table.add_column(heading, justify=side, no_wrap=True)
    return table


def _topics(measured: Measurements, now: float) -> Table:
    table = _columns(topic="left", type="left", rate="right", kB="right")
    for name, topic in sorted(measured.topics.items()):
        if topic.counted:
            size = f"{topic.size / 1e3:.1f}" if topic.size else "-"
            table.add_row(name, topic.type, f"{topic.recent_rate(now):.1f}", size)
    return table


def _latencies(measured: Measurements) -> Table:
    table = _columns(ms="left", p50="right", p95="right", share="right")
    shares = measured.stage_shares()
    rows: dict[str, dict[str, float | None]] = {"end to end": percentiles(measured.latencies_ms)}
    rows |= {name: row for name, row in measured.stages_ms.items() if name not in _SUMS}
    for name, row in rows.items():
        share = f"{100 * shares[name]:.0f} %" if name in shares else ""
        table.add_row(name, _number(row.get("p50"), 1), _number(row.get("p95"), 1), share)
    return table


def _seen(measured: Measurements, size: tuple[int, int]) -> Table:
    table = _columns(seen="left", score="right", where="left", box="left")
    for one in _strongest(measured.newest):
        box = " ".join(f"{edge:.0f}" for edge in one.box)
        table.add_row(one.label, f"{one.score:.2f}", place(one.box, size), box)
    return table


def _screen(measured: Measurements, now: float, size: tuple[int, int]) -> Table:
    """What is seen beside the latencies, the topics below: fits 30 lines of 100 characters."""
    beside = Table.grid(padding=(0, 4))
    beside.add_row(_seen(measured, size), _latencies(measured))
    screen = Table.grid()
    rate = f"{measured.elapsed(now):.0f} s, {measured.fps(now):.1f} frames a second"
    screen.add_row(f"{rate}, {_loads(measured)}. Ctrl-C ends.")
    screen.add_row("")
    screen.add_row(beside)
    screen.add_row("")
    screen.add_row(_topics(measured, now))
    return screen


class Display(Protocol):
    """Shows a run."""

    def say(self, text: str) -> None:
        """One line that stays."""

    def show(self, measured: Measurements, now: float, size: tuple[int, int], status: str) -> None:
        """The state now; size: (height, width) of the newest image."""

    def close(self) -> None:
        """Leaves the last state standing."""


class LiveDisplay:
    """A table that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._live.start()

    def say(self, text: str) -> None:
        self._live.console.print(Text(text))

    def show(self, measured: Measurements, now: float, size: tuple[int, int], status: str) -> None:
        if measured.started is None:
            self._live.update(Text(f"... {status}"), refresh=True)
            return
        self._live.update(_screen(measured, now, size), refresh=True)

    def close(self) -> None:
        self._live.stop()


class PlainDisplay:
    """A line every few seconds, for logs and pipes."""

    def __init__(self) -> None:
        self._due = 0.0

    def say(self, text: str) -> None:
        print(text, flush=True)

    def show(self, measured: Measurements, now: float, size: tuple[int, int], status: str) -> None:
        if now < self._due:
            return
        self._due = now + _LINE_EVERY
        self.say(summary(measured, now, size) if measured.started is not None else f"... {status}")

    def close(self) -> None:
        sys.stdout.flush()


def display() -> Display:
    """A live table on a terminal, plain lines elsewhere."""
    console = Console()
    return LiveDisplay(console) if console.is_terminal else PlainDisplay()
