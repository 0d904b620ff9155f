"""A cell of CLIP, SigLIP or LiT: do images and words that were not learned from find each other?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from perception_contrast.core.cache import replacing
from perception_contrast_training.bench.learning.captioned_images import Captioned
from perception_contrast_training.bench.learning.cells import OPEN_CLIP, Cell
from perception_contrast_training.bench.learning.open_clip_loss import OpenClipLoss
from perception_contrast_training.bench.learning.pieces import Steps, Work, train
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.evaluation.compare import class_vectors
from perception_contrast_training.evaluation.encoding import encode_images, evaluating
from perception_contrast_training.evaluation.held_out_figures import backbone_adapter, pair_adapter
from perception_contrast_training.evaluation.linear import linear_torch
from perception_contrast_training.evaluation.metrics.neighbours import retrieval
from perception_contrast_training.methods.base import Method
from perception_contrast_training.methods.registry import METHODS, make_method
from perception_contrast_training.methods.scaling import Scale
from perception_contrast_training.networks.backbones import Backbone, BackboneSettings, make_backbone
from perception_contrast_training.networks.text import TextSettings

SMALL = BackboneSettings("vit_tiny_patch16_224", size=48, patch=8, width=96, depth=3, heads=3, drop_path=0.0)
LARGE = BackboneSettings("dinov2-s14", pretrained=True, size=112, frozen=True)
STEPS = Steps(300, 96, clip=1.0)


@dataclass(frozen=True)
class Words:
    """steps: of every cell. tower: of images, learned by CLIP and SigLIP. frozen: LiT's, with weights."""

    steps: Steps = STEPS
    tower: BackboneSettings = SMALL
    frozen: BackboneSettings = LARGE
    dim: int = 64
    text: TextSettings = field(
        default_factory=lambda: TextSettings("transformer", width=64, depth=2, heads=2, context=16)
    )


def measure(cell: Cell, data: Captioned, budget: Words, work: Work, vectors: Path) -> dict[str, Any]:
    """Figures at the end. vectors: where those of a frozen tower are kept.

    Raises:
        OutOfTimeError: The deadline came first.
        PerceptionError: LiT's tower has no weights here.
    """
    torch.manual_seed(cell.seed)
    method, views = made(cell.method, budget, len(data.learned))
    learned, frozen = data.learned, None
    if cell.method == "lit":
        frozen = frozen_vectors(method.pair.backbone, data, vectors)
        learned, views = Encoded(learned, frozen["learned"]), _as_it_is
    trained: Method = OpenClipLoss(method) if cell.maker == OPEN_CLIP else method
    rates = train(trained, views, learned, cell.seed, cell.key, budget.steps, work)
    found = figures(method, data, None if frozen is None else frozen["asked"])
    if frozen is None:
        found["linear probe"] = _probed(method, data)
    kept = {name: round(value, 4) for name, value in found.items()}
    return {"end": kept, **{name: round(value, 1) for name, value in rates.items()}}


def made(name: str, budget: Words, images: int) -> tuple[Any, Any]:
    """A method with towers that a CPU trains in minutes, and its views."""
    kind, one = METHODS[name], budget.steps
    own = {} if name == "lit" else {"dim": budget.dim}
    scale = Scale(images, one.batch, one.count * one.batch / images, budget.tower.size)
    settings, _ = kind.fit_to_data(kind.settings(text=budget.text, **own), scale)
    # Captions of one thing say nothing of left and right.
    settings = replace(settings, views=replace(settings.views, area=(0.6, 1.0), flip=0.5))
    return make_method(name, settings, make_backbone(budget.frozen if name == "lit" else budget.tower))


class Encoded:
    """Images as the vectors of a frozen tower; with their texts."""

    def __init__(self, images: Images, vectors: Tensor) -> None:
        self._images, self._vectors = images, vectors

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        sample = dict(self._images[index])
        return sample | {"image": self._vectors[index]}


def _as_it_is(image: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    return {"image": image}


def frozen_vectors(backbone: Backbone, data: Captioned, path: Path) -> Mapping[str, Tensor]:
    """Vectors (n, c) by "learned" and "asked" of a tower that stays as it is, made once and kept."""
    from safetensors.torch import load_file, save_file

    if path.is_file():
        known: dict[str, Tensor] = load_file(path)
        if [len(known["learned"]), len(known["asked"])] == [len(data.learned), len(data.asked)]:
            return known
    adapter = backbone_adapter(backbone, next(backbone.parameters()).device, "frozen tower")
    with evaluating(backbone):
        made = {
            name: encode_images(adapter, images, what=name).vectors
            for name, images in (("learned", data.learned), ("asked", data.asked))
        }
    with replacing(path) as part:
        save_file(made, part)
    return made


def figures(method: Any, data: Captioned, vectors: Tensor | None = None) -> dict[str, float]:
    """zero-shot of all images over their classes; R@1 both ways of the first image of each caption.

    vectors: of the images that are asked about by a frozen tower, None to encode them.
    """
    pair, asked = method.pair, data.asked
    samples = [asked[index] for index in range(len(asked))]
    labels = torch.tensor([sample["label"] for sample in samples])
    with evaluating(method), torch.inference_mode():
        if vectors is None:
            adapter = pair_adapter(pair, next(pair.backbone.parameters()).device)
            vectors = encode_images(adapter, asked, what="asked about").vectors
        else:
            vectors = pair.image_vectors(vectors).float()

        def words(texts: Sequence[str]) -> Tensor:
            found: Tensor = pair.text_vectors(list(texts)).float()
            return found

        names = class_vectors(words, asked.classes, "plain").cpu()
        right = (F.normalize(vectors, dim=-1) @ names.T).argmax(dim=-1) == labels
        # Images of one caption cannot be told apart by it.
        first = sorted({sample["text"]: n for n, sample in reversed(list(enumerate(samples)))}.values())
        found = retrieval(vectors[first], words([samples[n]["text"] for n in first]).cpu(), range(len(first)))
    return {
        "zero-shot": float(right.float().mean()),
        "zero-shot chance": 1 / len(asked.classes),
        "text to image R@1": found["text to image R@1"],
        "image to text R@1": found["image to text R@1"],
        "R@1 chance": 1 / len(first),
    }


def _probed(method: Any, data: Captioned) -> float:
    """Accuracy of a linear layer on the image tower's own features."""
    backbone = method.pair.backbone
    adapter = backbone_adapter(backbone, next(backbone.parameters()).device)
    with evaluating(backbone):
        seen, asked = (encode_images(adapter, images) for images in (data.learned, data.asked))
    return float((linear_torch(seen.vectors, seen.labels, asked.vectors) == asked.labels).float().mean())
