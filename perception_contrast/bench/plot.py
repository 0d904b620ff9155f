"""A report as an image: bars of the stages, and of our engines beside other libraries."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from perception_contrast.bench.bench_report import Report
from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError

WIDTH, MARGIN, ROW, GAP = 1200, 40, 40, 48
LABELS, VALUES = 280, 220  # pixels left and right of the bars
INK, SOFT, PAPER = (30, 34, 42), (120, 126, 138), (255, 255, 255)
STAGE, WHOLE, OURS, THEIRS = (74, 124, 184), (34, 70, 120), (52, 150, 106), (176, 180, 188)


@dataclass(frozen=True)
class Bar:
    """label, milliseconds at the median, up to where the line to p95 goes, and what is written behind."""

    label: str
    p50: float
    p95: float
    note: str
    colour: tuple[int, int, int]


def write_plot(report: Report, path: Path) -> None:
    """A PNG. Raises PerceptionError if the file cannot be written."""
    packed = io.BytesIO()
    draw_report(report).save(packed, format="PNG", optimize=True)
    try:
        atomic_write(path, packed.getvalue())
    except OSError as error:
        raise PerceptionError(f"{path} cannot be written: {error}") from error


def draw_report(report: Report) -> Image.Image:
    """RGB, as high as its rows need."""
    charts = [("Stages of a frame: median, line to p95", _stage_bars(report))]
    if report["compared"]:
        charts.append(("Forward pass against other libraries: median, line to p95", _peer_bars(report)))
    height = 130 + sum(GAP + 30 + ROW * len(bars) for _, bars in charts) + MARGIN
    image = Image.new("RGB", (WIDTH, height), PAPER)
    pen = ImageDraw.Draw(image)
    top = _title(pen, report)
    for heading, bars in charts:
        top = _chart(pen, top + GAP, heading, bars)
    return image


def chart_font(size: int) -> Any:
    """Pillow's own font."""
    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow 10.0 has one size alone
        return ImageFont.load_default()


def _title(pen: ImageDraw.ImageDraw, report: Report) -> int:
    settings, engine, machine = report["settings"], report["engine"], report["machine"]
    height, width = settings["size"]
    pen.text(
        (MARGIN, 28),
        f"{settings['model']} + {settings['language_model']} at {height}x{width}",
        INK,
        font=chart_font(30),
    )
    where = f"{machine['gpu'] or machine['cpu']}, threads: {machine['threads']}"
    line = (
        f"{where}; engine {engine['name']} {engine['precision']}; {report['throughput_hz']:.1f} Hz, "
        f"{report['walk_over_forwards']:.2f} times the models' forwards"
    )
    pen.text((MARGIN, 72), line, SOFT, font=chart_font(19))
    return 90


def _stage_bars(report: Report) -> list[Bar]:
    bars = [
        Bar(name, row["p50_ms"], row["p95_ms"], f"{row['p50_ms']:.2f} ms", STAGE)
        for name, row in report["stages"].items()
    ]
    walk = report["walk"]
    return [*bars, Bar("whole frame", walk["p50_ms"], walk["p95_ms"], f"{walk['p50_ms']:.2f} ms", WHOLE)]


def _peer_bars(report: Report) -> list[Bar]:
    compared, engine = report["compared"], report["engine"]
    chosen = f"{engine['name']} {engine['precision']}"
    ours = {f"ours, {chosen}": next(iter(compared.values()))["ours"]}
    for one in compared.values():
        if one["ours_same_precision"]:
            ours.setdefault(f"ours, {one['engine_same_precision']}", one["ours_same_precision"])
    bars = [
        Bar(label, row["p50_ms"], row["p95_ms"], f"{row['p50_ms']:.2f} ms", OURS)
        for label, row in ours.items()
    ]
    for name, one in compared.items():
        row = one["theirs"]
        note = f"{row['p50_ms']:.2f} ms, ours {report['compare'][name]:.2f}x"
        bars.append(Bar(_peer_label(name, one["precision"]), row["p50_ms"], row["p95_ms"], note, THEIRS))
    return bars


def _peer_label(name: str, precision: str) -> str:
    return name if name.endswith(precision) else f"{name} {precision}"


def _chart(pen: ImageDraw.ImageDraw, top: int, heading: str, bars: Sequence[Bar]) -> int:
    """Draws one below ``top``; gives where it ends."""
    pen.text((MARGIN, top), heading, INK, font=chart_font(22))
    top += 36
    longest = max((max(bar.p50, bar.p95) for bar in bars), default=1.0) or 1.0
    left, room = MARGIN + LABELS, WIDTH - 2 * MARGIN - LABELS - VALUES
    font = chart_font(18)
    for index, bar in enumerate(bars):
        middle = top + index * ROW + ROW // 2
        pen.text((left - 14, middle), bar.label, INK, font=font, anchor="rm")
        end = left + max(2, round(room * max(bar.p50, 0.0) / longest))
        pen.rectangle((left, middle - 12, end, middle + 12), fill=bar.colour)
        tip = max(end, left + round(room * max(bar.p95, 0.0) / longest))
        pen.line((end, middle, tip, middle), fill=SOFT, width=2)
        pen.line((tip, middle - 6, tip, middle + 6), fill=SOFT, width=2)
        pen.text((tip + 12, middle), bar.note, INK, font=font, anchor="lm")
    return top + ROW * len(bars)
