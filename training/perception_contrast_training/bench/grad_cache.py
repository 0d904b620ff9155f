"""How much memory a step of a large batch takes: ``python -m perception_contrast_training.bench.grad_cache``.

Each batch size runs in a process of its own, which says how much memory it ever had.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from perception_contrast_training.engine.grad_cache import cached_backward
from perception_contrast_training.methods.base import Contrastive, Progress
from perception_contrast_training.methods.registry import make_method, method_kind
from perception_contrast_training.methods.simclr import SimclrSettings
from perception_contrast_training.networks.backbones import BackboneSettings
from perception_contrast_training.networks.text import TextSettings

METHODS = ("simclr", "clip", "siglip")
SIZE, CONTEXT = 32, 16


class Noise(Sequence[dict[str, Tensor]]):
    """Images of noise and texts of random words, made when they are asked for, always the same ones."""

    def __init__(self, method: str, batch: int, part: int) -> None:
        self._method, self._batch, self._part = method, batch, part

    def __len__(self) -> int:
        return self._batch // self._part

    def __getitem__(self, number: Any) -> Any:
        chance = torch.Generator().manual_seed(number)
        if self._method == "simclr":
            return {"views": torch.randn(2, self._part, 3, SIZE, SIZE, generator=chance)}
        image = torch.randn(self._part, 3, SIZE, SIZE, generator=chance)
        return {"image": image, "text": torch.randint(1, 49408, (self._part, CONTEXT), generator=chance)}


def measured(method_name: str, batch: int, part: int, cached: bool) -> dict[str, float]:
    """loss; seconds of a step; megabytes of the process at its largest, and before the step."""
    torch.manual_seed(0)
    settings = method_kind(method_name).settings
    text = {} if method_name == "simclr" else {"text": TextSettings("transformer", 64, 2, 2, CONTEXT)}
    made: Any = SimclrSettings(batch_norm=False) if method_name == "simclr" else settings(dim=128, **text)
    backbone = BackboneSettings("vit_tiny_patch16_224", size=SIZE, patch=8, width=64, depth=2, heads=2)
    method, _ = make_method(method_name, made, backbone)
    parts = Noise(method_name, batch, part)
    before, start = _megabytes(), time.perf_counter()
    if cached:
        losses = cached_backward(cast(Contrastive, method), parts)
    else:
        axis = 1 if method_name == "simclr" else 0
        inputs = [parts[number] for number in range(len(parts))]
        whole = {name: torch.cat([one[name] for one in inputs], dim=axis) for name in inputs[0]}
        losses = method.loss(whole, Progress(0, 1, 1))
        losses.total.backward()  # type: ignore[no-untyped-call]
    return {
        "loss": float(losses.total.detach()),
        "seconds": time.perf_counter() - start,
        "megabytes": _megabytes(),
        "before": before,
    }


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_own_process(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", __spec__.name, *arguments, "--one"]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def draw(rows: Sequence[dict[str, float]], path: Path, title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5))
    for cached, label in ((1.0, "gradient caching"), (0.0, "all at once")):
        chosen = [row for row in rows if row["cached"] == cached]
        axes.plot([r["batch"] for r in chosen], [r["megabytes"] for r in chosen], "o-", label=label)
    axes.set(
        xscale="log", xlabel="images in a batch", ylabel="memory at most (MB)", ylim=(0, None), title=title
    )
    axes.set_xscale("log", base=2)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", choices=METHODS, default="simclr")
    parser.add_argument("--batch", type=int, nargs="+", default=[1024, 4096, 16384, 32768])
    parser.add_argument("--part", type=int, default=256, help="images that are seen at once")
    parser.add_argument(
        "--at-once", type=int, nargs="*", default=[1024, 4096], help="batches to run without caching as well"
    )
    parser.add_argument("--figure", type=Path, help="a PNG file of memory against batch")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.method, options.batch[0], options.part, not options.at_once)))
        return
    runs = [(batch, True) for batch in options.batch] + [(batch, False) for batch in options.at_once]
    rows = []
    for batch, cached in track(runs, description=options.method):
        arguments = ["--method", options.method, "--batch", str(batch), "--part", str(options.part)]
        found = in_own_process(*arguments, "--at-once", *([] if cached else ["1"]))
        rows.append({"batch": float(batch), "cached": float(cached), **found})
    table = Table("batch", "way", "memory at most", "before the step", "time", "loss")
    for row in rows:
        way = "cached" if row["cached"] else "at once"
        memory, before = f"{row['megabytes']:.0f} MB", f"{row['before']:.0f} MB"
        time_ = f"{row['seconds']:.1f} s"
        table.add_row(f"{row['batch']:.0f}", way, memory, before, time_, f"{row['loss']:.6f}")
    Console().print(table)
    if options.figure:
        draw(rows, options.figure, f"{options.method}, parts of {options.part}")


if __name__ == "__main__":
    main()
