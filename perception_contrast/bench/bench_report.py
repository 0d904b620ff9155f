"""The report of a run, as JSON and as a table for a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from perception_contrast.bench.bench_models import MANY_QUERIES, MeasuredEncoder
from perception_contrast.bench.bench_run import Measured
from perception_contrast.bench.compare import STEADY, Comparison, LibraryComparison
from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError
from perception_contrast.engines.choice import EngineChoice
from perception_contrast.segmentation.searcher import RESCORING_STAGE

FORMAT = 2
BUSY = 0.5  # of the processors
Report = dict[str, Any]


def report_of(measured: Measured) -> Report:
    """docs/measure.md says what each key means."""
    stages, options = measured.stages, measured.options
    main = measured.models.main
    encoders = {one.tower.model: _encoder(one, measured) for one in measured.models.encoders}
    first = encoders[main.tower.model]
    timings = {name: timing.summary() for name, timing in stages.timings.items() if name != "walk"}
    rescoring = measured.models.rescoring
    return {
        "format": FORMAT,
        "settings": {
            "model": options.model,
            "language_model": options.language_model,
            "dense": measured.models.encoders[-1].graph.method,
            "size": list(main.size),
            "camera": list(options.camera),
            "encoding": options.encoding,
            "batch": options.batch,
            "random_init": options.random_init,
        },
        "machine": dict(measured.machine),
        "engine": _engine(main.chosen),
        "engines": {one.graph.model: _engine(one.chosen) for one in measured.models.encoders}
        | ({} if rescoring is None else {RESCORING_STAGE: _engine(rescoring)}),
        "stages": timings,
        "skipped": {**stages.skipped, **measured.comparison.skipped},
        "notes": [*stages.notes, *measured.models.pipeline.warnings, *_busy(measured)],
        "walk": {
            **stages.whole_frame.summary(),
            "ends_at": stages.ends_at,
            "rescored_crops": round(fmean(stages.crops), 2) if stages.crops else 0.0,
        },
        "walk_over_forwards": round(stages.frame_over_forwards, 4),
        "walk_over_towers": round(stages.frame_over_towers, 4),
        "postprocess_share": round(stages.postprocess_share, 4),
        "forwards": list(stages.forwards),
        "towers": list(stages.towers),
        "throughput_hz": round(1e3 / stages.whole_frame.p50, 3),
        "memory": {name: _rounded(value, 1) for name, value in measured.memory.items()},
        "encoders": encoders,
        **{key: first[key] for key in ("gflops", "peak_gflops", "fraction_of_peak", "roofline_ms")},
        "peaks_gflops": {name: round(value, 3) for name, value in measured.peaks.items()},
        "bandwidth_gb_s": round(measured.bandwidth, 2),
        **_comparison(measured.comparison),
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    peers, best = comparison.peers, comparison.best
    return {
        "compare": {name: round(one.ratio, 4) for name, one in peers.items()},
        "compare_same_precision": {
            name: round(one.same_ratio, 4) for name, one in peers.items() if one.same_ratio is not None
        },
        "compared": {name: _peer(one) for name, one in peers.items()},
        "headline": {
            "best_peer": best.peer.name if best else None,
            "over_best": round(best.ratio, 4) if best else None,
            "over_timm_fp32": _rounded(comparison.over_timm_fp32, 4),
            "spread": _rounded(comparison.spread, 4),
            "steady": comparison.steady,
        },
    }


def _peer(one: LibraryComparison) -> dict[str, Any]:
    return {
        "what": one.peer.what,
        "precision": one.peer.precision,
        "weights": "the model's" if one.peer.same_weights else "random",
        "worst_cosine": round(one.peer.worst, 6),
        "theirs": one.theirs.summary(),
        "ours": one.ours.summary(),
        "ours_same_precision": one.same.summary() if one.same else None,
        "engine_same_precision": one.engine,
        "spread": _rounded(one.uncertainty, 4),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _busy(measured: Measured) -> list[str]:
    """Notes where the machine was not idle when the run began, or too busy for steady ratios."""
    machine, comparison = measured.machine, measured.comparison
    load, threads, notes = machine["load"][0], machine["threads"], []
    if load > BUSY * threads:
        notes.append(
            f"{load:.1f} processes were running when this began, on {threads} processors: times are too long"
        )
    if comparison.peers and not comparison.steady:
        spread = comparison.spread
        known = "not known from so few rounds" if spread is None else f"{100 * spread:.0f} %"
        notes.append(
            f"the machine was too busy, or the rounds too few: the spread of the ratios is {known}, "
            f"not below {100 * STEADY:.0f} %"
        )
    return notes


def _engine(chosen: EngineChoice) -> dict[str, Any]:
    return {
        "name": chosen.engine.name,
        "precision": chosen.engine.precision,
        "why": chosen.why,
        "refused": list(chosen.refused),
        "measured_ms": {name: round(value, 3) for name, value in chosen.measured_ms.items()},
        "worst_cosine": {name: round(value, 6) for name, value in chosen.worst.items()},
    }


def _encoder(one: MeasuredEncoder, measured: Measured) -> dict[str, Any]:
    """Of the bare forward. An 8-bit engine is held against the best float format."""
    model, precision, batch = one.tower.model, one.served.precision, measured.options.batch
    work = measured.work[model]
    timing = measured.stages.batched.get(model) or measured.stages.timings.get(f"encode.{model}")
    peak = measured.peaks.get(precision) or max(measured.peaks.values())
    by_products = 1e3 * work.flops * batch / (peak * 1e9)
    by_bytes = 1e3 * work.bytes_of(precision, batch) / (measured.bandwidth * 1e9)
    row: dict[str, Any] = {
        "gflops": round(work.flops / 1e9, 3),
        "weights": work.weights,
        "peak_gflops": round(peak, 3),
        "fraction_of_peak": None,
        "roofline_ms": round(max(by_products, by_bytes), 4),
        "bound_by": "products" if by_products >= by_bytes else "memory",
        "forward": None,
        "pictures_per_second": None,
    }
    if timing:
        row["fraction_of_peak"] = round(by_products / timing.p50, 6)
        row["forward"] = timing.summary()
        row["pictures_per_second"] = round(1e3 * batch / timing.p50, 3)
    return row


def write_report(report: Report, path: Path) -> None:
    """Raises PerceptionError if the file cannot be written."""
    try:
        atomic_write(path, (json.dumps(report, indent=2) + "\n").encode())
    except OSError as error:
        raise PerceptionError(f"{path} cannot be written: {error}") from error


def show(report: Report, console: Console) -> None:
    """The tables; names of columns are those of the JSON."""
    console.print(Group(*_parts(report)))


def _parts(report: Report) -> list[Any]:
    settings, engine, machine = report["settings"], report["engine"], report["machine"]
    height, width = settings["size"]
    weights = ", random weights" if settings["random_init"] else ""
    title = (
        f"{settings['model']} + {settings['language_model']} at {height}x{width}{weights}, "
        f"camera {settings['camera'][1]}x{settings['camera'][0]} {settings['encoding']}\n"
        f"{machine['gpu'] or machine['cpu']}, {machine['threads']} of {machine['cores']} cores\n"
        f"engine {engine['why']}"
    )
    parts: list[Any] = [Text(title), Text(""), _stages(report), Text(""), _facts(report)]
    if report["compared"]:
        parts += [Text(""), _compared(report), Text(headline(report), style="bold")]
    lines = [f"not measured: {name}: {reason}" for name, reason in report["skipped"].items()]
    lines += [f"refused: {reason}" for one in report["engines"].values() for reason in one["refused"]]
    lines += [f"note: {note}" for note in report["notes"]]
    if lines:
        parts += [Text(""), Text("\n".join(lines), style="dim")]
    return parts


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(columns):
        table.add_column(heading, justify="right" if index else "left", no_wrap=not index)
    return table


def _row(timing: Mapping[str, float]) -> list[str]:
    return [f"{timing[key]:.2f}" for key in ("p50_ms", "p95_ms", "p99_ms")]


def _stages(report: Report) -> Table:
    table = _table("stage", "p50 ms", "p95 ms", "p99 ms")
    for name, timing in report["stages"].items():
        table.add_row(name, *_row(timing))
    table.add_row("whole frame", *_row(report["walk"]), style="bold")
    return table


def _facts(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    memory, share = report["memory"], report["fraction_of_peak"]
    rows = {
        "frame / the models' forwards": f"{report['walk_over_forwards']:.3f}",
        "crops rescored in a frame": f"{report['walk']['rescored_crops']:.1f}",
        "frame / towers without heads": f"{report['walk_over_towers']:.3f}",
        f"search and tracks of {MANY_QUERIES}": f"{100 * report['postprocess_share']:.0f} % of a frame",
        "throughput": f"{report['throughput_hz']:.2f} Hz",
        "work of an image": f"{report['gflops']:.2f} GFLOP",
        "peak of torch.mm": f"{report['peak_gflops']:.0f} GFLOP/s",
        "reached": "-" if share is None else f"{100 * share:.0f} % of it",
        "roofline": f"{report['roofline_ms']:.2f} ms",
        "memory while serving": f"{memory['host_peak_mb']:.0f} MB",
    }
    if memory["gpu_peak_mb"] is not None:
        rows["GPU memory of torch"] = f"{memory['gpu_peak_mb']:.0f} MB"
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _compared(report: Report) -> Table:
    table = _table(
        "against", "theirs ms", "ours ms", "ours / theirs", "±", "precision", "ours in it", "ratio"
    )
    for name, one in report["compared"].items():
        same, ratio = one["ours_same_precision"], report["compare_same_precision"].get(name)
        table.add_row(
            name,
            f"{one['theirs']['p50_ms']:.2f}",
            f"{one['ours']['p50_ms']:.2f}",
            f"{report['compare'][name]:.2f}x",
            "-" if one["spread"] is None else f"{100 * one['spread']:.0f} %",
            one["precision"],
            f"{same['p50_ms']:.2f}" if same else "-",
            f"{ratio:.2f}x" if ratio is not None else "-",
        )
    return table


def headline(report: Report) -> str:
    """Ours over the best of all peers and over timm's float32, in a line; "" where nothing was compared."""
    told = report["headline"]
    if told["best_peer"] is None:
        return ""
    engine, best = report["engine"], report["compared"][told["best_peer"]]
    line = (
        f"{engine['name']} {engine['precision']}: {told['over_best']:.2f} times the best peer "
        f"({told['best_peer']}, {best['precision']})"
    )
    if told["over_timm_fp32"] is not None:
        line += f", {told['over_timm_fp32']:.2f} times timm in float32"
    return line if told["steady"] else f"{line}; not steady"
