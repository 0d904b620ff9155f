"""The reliability diagram of several fits in one image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from perception_contrast.core.cache import replacing
from perception_contrast_training.evaluation.metrics.reliability import Reliability


def draw_reliability(path: Path, title: str, curves: Mapping[str, Reliability]) -> None:
    """The reliability diagram of each fit over the counts of its bins, as an image by the path's suffix."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 6.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot([0, 1], [0, 1], color="grey", linestyle=":", label="as stated")
    for name, one in curves.items():
        held = one.counts > 0
        label = f"{name}, error {one.error:.3f}"
        upper.plot(one.stated[held], one.actual[held], marker="o", markersize=4, label=label)
        lower.stairs(one.counts, np.linspace(0, 1, len(one.counts) + 1))
    upper.set(title=title, ylabel="share of regions that are right", ylim=(-0.02, 1.02))
    upper.legend(loc="upper left")
    lower.set(xlabel="stated probability", ylabel="regions", xlim=(0, 1))
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".") or "png", dpi=120)
