"""Do images and words find each other? CLIP and SigLIP on rendered things, beside open_clip's losses.

    python -m perception_contrast_training.bench.captions --output FOLDER

Renders images of one household thing each, with captions, trains a small image tower and a small text
tower for a fixed number of steps, and asks on other shapes in other rooms: retrieval both ways and
zero-shot classification, with chance beside them. Cells that ``figures.json`` has are not run again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception_contrast.core.cache import atomic_write
from perception_contrast_training.bench.cached_images import CachedImages
from perception_contrast_training.bench.timed import trained_rate
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.datasets.subset import Chosen
from perception_contrast_training.data.datasets.tables import TableDataset
from perception_contrast_training.evaluation.compare import class_vectors
from perception_contrast_training.evaluation.encoding import EncoderAdapter, encode_images, evaluating
from perception_contrast_training.evaluation.metrics.neighbours import retrieval
from perception_contrast_training.evaluation.report import Outcome, Table, markdown
from perception_contrast_training.household.close_ups import CloseUps, write_table
from perception_contrast_training.methods.base import Batch, Group, Losses, Method, Progress
from perception_contrast_training.methods.clip import ClipSettings
from perception_contrast_training.methods.registry import make_method
from perception_contrast_training.methods.scaling import Scale
from perception_contrast_training.methods.siglip import SiglipSettings, fit_to_data
from perception_contrast_training.networks.backbones import Backbone, BackboneSettings
from perception_contrast_training.networks.text import TextSettings

METHODS = ("clip", "siglip")
MAKERS = ("ours", "open_clip")
SEED = 0
"""Of what is rendered to learn from; what is asked about has the next one."""


@dataclass(frozen=True)
class Budget:
    """Of every cell alike."""

    steps: int = 200
    batch: int = 96
    learning_rate: float = 1e-3


class OpenClipLoss(nn.Module):
    """A method of ours whose towers, scale and bias meet in open_clip's loss."""

    def __init__(self, method: Any) -> None:
        super().__init__()
        from open_clip.loss import ClipLoss, SigLipLoss

        self.method = method
        self.criterion: Any = SigLipLoss() if hasattr(method, "bias") else ClipLoss()

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        seen = self.method.embed(batch)
        image, text = (F.normalize(seen[name], dim=-1) for name in ("image", "text"))
        more = [self.method.bias] if hasattr(self.method, "bias") else []
        return Losses(self.criterion(image, text, self.method.log_scale.exp(), *more))

    def groups(self) -> Iterable[Group]:
        found: Iterable[Group] = self.method.groups()
        return found

    def before_step(self, progress: Progress) -> None:
        self.method.before_step(progress)

    def after_step(self, progress: Progress) -> None:
        self.method.after_step(progress)

    def exported(self) -> nn.Module:
        found: nn.Module = self.method.exported()
        return found


def small_method(name: str, size: int, budget: Budget, images: int) -> tuple[Any, Any]:
    """A method with towers that a CPU trains in minutes, and its views."""
    backbone = BackboneSettings(
        "vit_tiny_patch16_224", size=size, patch=8, width=96, depth=3, heads=3, drop_path=0.0
    )
    text = TextSettings("transformer", width=64, depth=2, heads=2, context=16)
    settings: Any = ClipSettings(dim=64, text=text)
    if name == "siglip":
        scale = Scale(images, budget.batch, budget.steps * budget.batch / images, size)
        settings, _ = fit_to_data(SiglipSettings(dim=64, text=text), scale)
    # Captions of one thing say nothing of left and right.
    settings = replace(settings, views=replace(settings.views, area=(0.6, 1.0), flip=0.5))
    return make_method(name, settings, backbone)


def measure(
    name: str, maker: str, seed: int, learned: Images, asked: TableDataset, budget: Budget, size: int
) -> dict[str, float]:
    """Figures of images that were not learned from, and pairs a second without the making of views."""
    torch.manual_seed(seed)
    method, views = small_method(name, size, budget, len(learned))
    trained: Method = OpenClipLoss(method) if maker == "open_clip" else method
    rate = trained_rate(
        trained, views, learned, seed, f"{maker} {name} {seed}",
        steps=budget.steps, batch=budget.batch, learning_rate=budget.learning_rate, clip=1.0,
    )  # fmt: skip
    return figures(method, asked) | {"pairs per second": rate}


def figures(method: Any, asked: TableDataset) -> dict[str, float]:
    """zero-shot of all images over their classes; R@1 both ways of the first image of each caption."""
    pair, backbone = method.pair, method.exported()
    assert isinstance(backbone, Backbone)
    device = next(backbone.parameters()).device
    adapter = EncoderAdapter(
        "pair", "", pair.image_vectors, backbone.size, backbone.mean, backbone.std, device
    )
    with evaluating(method), torch.inference_mode():
        seen = encode_images(adapter, asked, what="asked about")

        def words(texts: Sequence[str]) -> Tensor:
            found: Tensor = pair.text_vectors(list(texts)).float()
            return found

        names = class_vectors(words, asked.classes, "plain").cpu()
        right = (F.normalize(seen.vectors, dim=-1) @ names.T).argmax(dim=-1) == seen.labels
        # Images of one caption cannot be told apart by it.
        first = sorted({text: n for n, text in reversed(list(enumerate(seen.texts)))}.values())
        texts = words([seen.texts[n] for n in first]).cpu()
        found = retrieval(seen.vectors[first], texts, range(len(first)))
    return {
        "zero-shot": float(right.float().mean()),
        "zero-shot chance": 1 / len(asked.classes),
        "text to image R@1": found["text to image R@1"],
        "image to text R@1": found["image to text R@1"],
        "R@1 chance": 1 / len(first),
    }


SHOWN = ("zero-shot", "text to image R@1", "image to text R@1")


def report(found: Mapping[str, Mapping[str, float]]) -> str:
    """A row a method and maker: means over seeds, with chance in the last row."""
    cells: dict[str, list[Mapping[str, float]]] = {}
    for key, one in found.items():
        maker, name, _ = key.split()
        cells.setdefault(f"{name}, {maker}", []).append(one)
    rows: list[tuple[Any, ...]] = []
    for label, many in sorted(cells.items()):
        means = [statistics.fmean(one[key] for one in many) for key in SHOWN]
        rows.append((label, len(many), *means, round(statistics.fmean(o["pairs per second"] for o in many))))
    for one in list(found.values())[:1]:
        rows.append(("chance", None, one["zero-shot chance"], one["R@1 chance"], one["R@1 chance"], None))
    return markdown(Outcome({}, [Table("Images and words", ("method", "seeds", *SHOWN, "pairs/s"), rows)]))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0. Raises PerceptionError where the simulator or its assets are absent."""
    budget, shown = Budget(), CloseUps()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/bench_captions"))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--makers", nargs="+", choices=MAKERS, default=MAKERS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=budget.steps)
    parser.add_argument("--batch", type=int, default=budget.batch)
    parser.add_argument("--things", type=int, default=shown.things, help="categories of things")
    parser.add_argument("--looks", type=int, default=shown.looks, help="shapes of each thing")
    parser.add_argument("--views", type=int, default=shown.views, help="images of each shape")
    parser.add_argument("--size", type=int, default=shown.size, help="pixels of a side")
    parser.add_argument("--offline", action="store_true", help="assets must be in the cache")
    options = parser.parse_args(argv)
    budget = replace(budget, steps=options.steps, batch=options.batch)
    shown = CloseUps(options.things, options.looks, options.views, options.size, offline=options.offline)
    rooms = replace(shown, looks=max(1, shown.looks // 4))
    pairs = CachedImages(TableDataset(write_table(options.output / "learned", shown, SEED)))
    asked = TableDataset(write_table(options.output / "asked", rooms, SEED + 1, plain=True))
    learned = Chosen(pairs, range(len(pairs)))
    path = options.output / "figures.json"
    found: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.is_file() else {}
    for turn, (seed, name) in enumerate((s, n) for s in options.seeds for n in options.methods):
        # In turns, so that neither is always the one that runs on a warm machine.
        for maker in options.makers[:: 1 if turn % 2 == 0 else -1]:
            key = f"{maker} {name} {seed}"
            if key not in found:
                found[key] = measure(name, maker, seed, learned, asked, budget, shown.size)
                print(key, {name: round(value, 4) for name, value in found[key].items()}, flush=True)
                atomic_write(path, json.dumps(found, indent=1).encode())
    print(report(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
