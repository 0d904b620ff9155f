"""Takes every figure of a GPU: frames, embeddings, engines beside each other, ONNX parity, training.

  scripts/gpu_report                          # ten minutes on a machine with a GPU
  scripts/gpu_report --device cpu --quick     # the same parts at a tiny size, anywhere

Each part runs in a process of its own with a time limit, so a part that fails or runs out of memory costs
nothing but itself. After each part report.json and report.md are written anew; parts that are in
report.json already, of this machine and these versions, are kept unless --again is given.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from perception_contrast.bench.gpu.figures import PartResult
from perception_contrast.bench.gpu.page import DONE, page_of
from perception_contrast.cli.demo.child_processes import Child, Children
from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError

FORMAT = 1
METHODS = ("clip", "siglip", "lit", "simclr", "byol", "dino", "dinov2", "mae")
FAILED, LEFT_OUT = "failed", "left out"
Report = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A part of the report.

    Attributes:
        title: what it measures, in words.
        limit: seconds after which it is ended.
        take: measures it; takes a ``Setup``.
    """

    title: str
    limit: float
    take: Callable[[Any], PartResult]


def _serving(name: str, setup: Any) -> PartResult:
    from perception_contrast.bench.gpu import serving

    result: PartResult = getattr(serving, name)(setup)
    return result


def _training(method: str, setup: Any) -> PartResult:
    from perception_contrast_training.bench.training_rates import method_rates

    return method_rates(method, setup)


# In this order, so that what matters most is there if time runs out.
PARTS: dict[str, Part] = {
    "pair": Part("DINOv2-S and CLIP-B/16, bytes to label map", 120.0, partial(_serving, "pair_frames")),
    "embedding": Part("image embedding", 90.0, partial(_serving, "embedding")),
    "captured": Part("CUDA graphs against eager torch", 90.0, partial(_serving, "captured")),
    "household": Part("the default pair, bytes to label map", 90.0, partial(_serving, "household_frames")),
    "onnx": Part("ONNX parity", 120.0, partial(_serving, "onnx_parity")),
    **{
        f"train.{method}": Part(f"training by {method}", 90.0, partial(_training, method))
        for method in METHODS
    },
    # Last: it builds its engines for minutes the first time.
    "tensorrt": Part("TensorRT through ONNX Runtime", 240.0, partial(_serving, "tensorrt")),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/gpu_report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--device", default="cuda", help="cuda, cuda:N or cpu (default: %(default)s)")
    add("--quick", action="store_true", help="tiny images, networks and rounds: shows that all parts run")
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    add("--output", type=Path, default=Path("runs/gpu_report"), help="folder (default: %(default)s)")
    add("--minutes", type=float, default=10.0, help="for all parts together (default: %(default)g)")
    add("--again", action="store_true", help="measure anew what is done already")
    add("--take", choices=PARTS, help=argparse.SUPPRESS)  # what a child process does
    add("--result", type=Path, help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 where every part gave a result, 1 where one did not, 2 for what cannot be run."""
    options = _parser().parse_args(argv)
    try:
        if options.take:
            _take(options)
            return 0
        return _run(options)
    except PerceptionError as error:
        print(f"gpu_report: {error}", file=sys.stderr)
        return 2


def _take(options: argparse.Namespace) -> None:
    from perception_contrast.bench.gpu.setup import Setup, quick_setup

    setup = (quick_setup if options.quick else Setup)(options.device)
    result = PARTS[options.take].take(setup)
    atomic_write(options.result, json.dumps(result.as_mapping()).encode())


def _run(options: argparse.Namespace) -> int:
    report = _started(options)
    deadline = time.monotonic() + 60.0 * options.minutes
    for name in options.parts:
        done = report["parts"].get(name)
        if done is not None and done["state"] == DONE and not options.again:
            print(f"{name}: kept from an earlier run", flush=True)
            continue
        print(f"{name}: {PARTS[name].title} ...", flush=True)
        part = _measured(name, options, deadline - time.monotonic())
        report["parts"][name] = part
        _write(report, options.output)
        print(_told(part), flush=True)
    _write(report, options.output)
    print(f"{options.output / 'report.md'}, {options.output / 'report.json'}")
    return 0 if all(report["parts"][name]["state"] == DONE for name in options.parts) else 1


def _started(options: argparse.Namespace) -> Report:
    """With the parts that an earlier run of this machine, these versions and this size has done."""
    import torch

    from perception_contrast.bench.machine import machine
    from perception_contrast.engines.engine_cache import threads

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise PerceptionError("torch sees no GPU here; `--device cpu --quick` tries all parts without one")
    report: Report = {
        "format": FORMAT,
        "device": options.device,
        "quick": options.quick,
        "machine": machine(options.device, threads()),
        "parts": {},
    }
    try:
        held = json.loads((options.output / "report.json").read_text(encoding="utf-8"))
        if _identity(held) == _identity(report):
            report["parts"] = held["parts"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # There is none, or one that is not readable: all is measured.
    return report


def _identity(report: Mapping[str, Any]) -> tuple[Any, ...]:
    machine = report["machine"]
    facts = [machine[key] for key in ("cpu", "gpu", "threads", "versions")]
    return (report["format"], report["device"], report["quick"], facts)


def command_of(name: str, options: argparse.Namespace, result: Path) -> list[str]:
    """What a part's process runs; it writes its result into a file."""
    words = [sys.executable, __file__, "--device", options.device, "--take", name, "--result", str(result)]
    return [*words, "--quick"] if options.quick else words


def _measured(name: str, options: argparse.Namespace, left: float) -> dict[str, Any]:
    """A part, measured in a process of its own. left: seconds until all parts must be over."""
    limit, began = min(PARTS[name].limit, left), time.monotonic()
    part: dict[str, Any] = {"title": PARTS[name].title, "state": LEFT_OUT, "problem": "", "seconds": 0.0}
    if limit <= 0:
        return part | {"problem": "no time was left; run again: what is done is kept"}
    with tempfile.TemporaryDirectory(prefix="perception_contrast_") as folder, Children() as children:
        path = Path(folder) / "result.json"
        child = children.start(name, command_of(name, options, path), os.environ)
        ended = child.wait(limit)
        part["seconds"] = round(time.monotonic() - began, 2)
        if ended and path.is_file():
            return part | {"state": DONE, "result": json.loads(path.read_text(encoding="utf-8"))}
        return part | {"state": FAILED, "problem": _problem(child, limit)}


def _problem(child: Child, limit: float) -> str:
    code = child.exit_code()
    if code is None:
        return f"it was not done within {limit:.0f} s and was ended"
    last = (child.last_lines(1) or ["it said nothing"])[0]
    return f"its process ended with exit code {code}: {last}"


def _told(part: Mapping[str, Any]) -> str:
    if part["state"] != DONE:
        return f"  {part['state']}: {part['problem']}"
    result = PartResult.from_mapping(part["result"])
    lines = [
        f"  {one.name}: {one.shown}" + (f" (aim: {one.aim_shown})" if one.aim_shown else "")
        for one in result.figures
    ]
    return "\n".join([*lines, *(f"  not measured: {what}: {why}" for what, why in result.missing.items())])


def _write(report: Report, folder: Path) -> None:
    try:
        atomic_write(folder / "report.json", (json.dumps(report, indent=2) + "\n").encode())
        atomic_write(folder / "report.md", page_of(report).encode())
    except OSError as error:
        raise PerceptionError(f"{folder} cannot be written: {error}") from error


if __name__ == "__main__":
    raise SystemExit(main())
