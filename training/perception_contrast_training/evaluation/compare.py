"""How good encoders are on one data set, side by side: labels, captions and time are used where they are."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from perception_contrast.core.errors import PerceptionError
from perception_contrast.text.prompt_templates import TEMPLATES, checked_templates, prompts
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.evaluation.corruptions import CHANGES
from perception_contrast_training.evaluation.encoding import EncodedImages, EncoderAdapter, encode_images
from perception_contrast_training.evaluation.held_out import Indices, column, split
from perception_contrast_training.evaluation.linear import linear_sklearn, linear_torch
from perception_contrast_training.evaluation.metrics.neighbours import knn_accuracy, near_in_time, recall_at
from perception_contrast_training.evaluation.report import Outcome, Table
from perception_contrast_training.monitors.measures import feature_spread, rank_me, uniformity

logger = logging.getLogger(__name__)

TASKS = ("knn", "linear", "retrieval", "zero-shot", "time", "rank", "robustness")


@dataclass(frozen=True)
class CompareSettings:
    """tasks: of TASKS. k, temperature: of kNN. held_out: share that is tested on. solver: of the linear
    probe, "sklearn" or "torch". templates: around class names. within: seconds that count as near, 0 for
    thrice the usual time between two frames."""

    tasks: tuple[str, ...] = TASKS
    k: int = 20
    temperature: float = 0.07
    held_out: float = 0.2
    seed: int = 0
    solver: str = "sklearn"
    templates: str = "robot_camera"
    within: float = 0.0
    batch: int = 64
    workers: int = 0


def compare(adapters: Sequence[EncoderAdapter], images: Images, settings: CompareSettings) -> Outcome:
    """Figures of each encoder on the same split of the images.

    Raises PerceptionError for unknown tasks, and where the data has nothing that a task could use.
    """
    unknown = [task for task in settings.tasks if task not in TASKS]
    if unknown:
        raise PerceptionError(f"task '{unknown[0]}' is unknown; choose of {', '.join(TASKS)}")
    learned, held = split(
        len(images), settings.held_out, seed=settings.seed,
        stamps=column(images, "stamps"), groups=column(images, "groups"),
    )  # fmt: skip
    refused: dict[str, None] = {}
    figures = {
        adapter.name: _figures(adapter, images, learned, held, settings, refused) for adapter in adapters
    }
    outcome = report(figures, {adapter.name: adapter.space for adapter in adapters})
    outcome.figures |= {"pictures": len(images), "held out": len(held)}
    for line in refused:
        logger.warning("left out: %s", line)
    if not any(figures.values()):
        raise PerceptionError("the data has neither labels, captions nor stamps that these tasks could use")
    return outcome


def _figures(
    adapter: EncoderAdapter,
    images: Images,
    learned: Indices,
    held: Indices,
    settings: CompareSettings,
    refused: dict[str, None],
) -> dict[str, float]:
    """refused: gets a line for each image that cannot be read."""
    options: dict[str, Any] = {"batch": settings.batch, "workers": settings.workers}
    test = encode_images(adapter, images, held.tolist(), what="held out", **options)
    labelled = bool((test.labels >= 0).any())
    needs_train = labelled and {"knn", "linear", "robustness"} & set(settings.tasks)
    train = (
        encode_images(adapter, images, learned.tolist(), what="learned from", **options)
        if needs_train
        else None
    )
    found: dict[str, float] = {}
    if train is not None:
        found |= _label_figures(train, test, settings)
    if adapter.words is not None:
        classes = getattr(images, "classes", ())
        found |= _word_figures(adapter, test, classes, settings)
    if "time" in settings.tasks:
        found |= time_figures(test, settings.within)
    if "rank" in settings.tasks and len(test) > 2:
        found |= spread_figures(test.vectors)
    if "robustness" in settings.tasks:
        found |= _robustness(adapter, images, held, test, train, settings)
    refused.update(dict.fromkeys((*test.refused, *(train.refused if train is not None else ()))))
    left_out = test.unreadable + (train.unreadable if train is not None else 0)
    return found | ({"unreadable images": float(left_out)} if found and left_out else {})


def _label_figures(train: EncodedImages, test: EncodedImages, settings: CompareSettings) -> dict[str, float]:
    (x, y), (a, b) = _labelled(train), _labelled(test)
    found: dict[str, float] = {}
    if len(y) == 0 or len(b) == 0:
        return found
    if "knn" in settings.tasks:
        found["kNN"] = knn_accuracy(x, y, a, b, k=settings.k, temperature=settings.temperature)
    if "linear" in settings.tasks and len(torch.unique(y)) > 1:
        solve = linear_torch if settings.solver == "torch" else linear_sklearn
        found["linear probe"] = float((solve(x, y, a) == b).float().mean())
    return found


def _labelled(seen: EncodedImages) -> tuple[Tensor, Tensor]:
    known = seen.labels >= 0
    return seen.vectors[known], seen.labels[known]


def _word_figures(
    adapter: EncoderAdapter, test: EncodedImages, classes: Sequence[str], settings: CompareSettings
) -> dict[str, float]:
    assert adapter.words is not None
    found: dict[str, float] = {}
    if "retrieval" in settings.tasks and len(set(filter(None, test.texts))) > 1:
        found |= caption_retrieval(test.vectors, adapter.words, test.texts)
    vectors, labels = _labelled(test)
    if "zero-shot" in settings.tasks and classes and len(labels):
        names = class_vectors(adapter.words, classes, settings.templates)
        cosine = functional.normalize(vectors, dim=-1) @ names.cpu().T
        best = cosine.topk(min(5, len(classes)), dim=-1).indices
        found["zero-shot"] = float((best[:, 0] == labels).float().mean())
        found["zero-shot top 5"] = float((best == labels[:, None]).any(-1).float().mean())
    return found


def caption_retrieval(
    image: Tensor, words: Callable[[Sequence[str]], Tensor], texts: Sequence[str]
) -> dict[str, float]:
    """R@k both ways of images (n, c) with texts, a caption a line; those without any are left out.

    Frames often share a caption: an image is found by any of its own, a caption finds any that has it.
    """
    owners = [number for number, text in enumerate(texts) if text]
    captions = [set(filter(None, texts[number].split("\n"))) for number in owners]
    different = sorted(set[str]().union(*captions))
    right = torch.tensor([[one in own for one in different] for own in captions])
    text, image = words(different).cpu(), image[owners]
    found = {f"image to text R@{k}": v for k, v in recall_at(image, text, right).items()}
    return found | {f"text to image R@{k}": v for k, v in recall_at(text, image, right.T).items()}


def class_vectors(words: Any, classes: Sequence[str], templates: str) -> Tensor:
    """(classes, c) unit: mean of the unit vectors of a name in each template (Radford et al., 2021)."""
    chosen = checked_templates(TEMPLATES.get(templates, (templates,)))
    rows = []
    for name in classes:
        said = functional.normalize(words(prompts(name.replace("_", " "), chosen)).float(), dim=-1)
        rows.append(functional.normalize(said.mean(dim=0), dim=-1))
    return torch.stack(rows)


def time_figures(test: EncodedImages, within: float = 0.0) -> dict[str, float]:
    """``near_in_time`` of images with stamps; nothing without, or where none is near another."""
    if len(test) < 3 or bool((test.stamps < 0).any()):
        return {}
    found = near_in_time(test.vectors, test.stamps, test.groups, within or usual_interval(test))
    return {} if math.isnan(found) else {"near in time mAP": found}


def usual_interval(test: EncodedImages) -> float:
    """Thrice the median time between two frames of a recording, in seconds; 0 where none has two."""
    gaps: list[NDArray[np.float64]] = [
        np.diff(np.unique(test.stamps[test.groups == group])) / 1e9 for group in np.unique(test.groups)
    ]
    between = np.concatenate(gaps)
    return 3 * float(np.median(between)) if len(between) else 0.0


def spread_figures(vectors: Tensor) -> dict[str, float]:
    """RankMe, spread and uniformity of (n, c) vectors."""
    return {"rank": rank_me(vectors), "spread": feature_spread(vectors), "uniformity": uniformity(vectors)}


def _robustness(
    adapter: EncoderAdapter,
    images: Images,
    held: Indices,
    test: EncodedImages,
    train: EncodedImages | None,
    settings: CompareSettings,
) -> dict[str, float]:
    """Of each change: the mean cosine with the unchanged image, and kNN where there are labels."""
    found: dict[str, float] = {}
    for name, change in CHANGES.items():
        other = encode_images(
            adapter,
            images,
            held.tolist(),
            change=change,
            batch=settings.batch,
            workers=settings.workers,
            what=name,
        )
        if len(other) == len(test):
            cosine = functional.cosine_similarity(other.vectors, test.vectors, dim=-1)
            found[f"{name}: cosine"] = float(cosine.mean())
        if train is not None:
            (x, y), (a, b) = _labelled(train), _labelled(other)
            found[f"{name}: kNN"] = knn_accuracy(x, y, a, b, k=settings.k, temperature=settings.temperature)
    return found


def report(figures: Mapping[str, Mapping[str, float]], spaces: Mapping[str, str]) -> Outcome:
    """A table with an encoder a column, and an image of it."""
    names = list(figures)
    keys = list(dict.fromkeys(key for found in figures.values() for key in found))
    rows = [(key, *(figures[name].get(key) for name in names)) for key in keys]
    table = Table("Encoders", ("figure", *names), rows)
    outcome = Outcome({"encoders": {n: {"space": spaces[n], **figures[n]} for n in names}}, [table])
    drawn = [key for key in keys if all(0 <= figures[n].get(key, 0.0) <= 1 for n in names)]
    if drawn:
        outcome.images["compare.png"] = bars(figures, drawn)
    return outcome


def bars(figures: Mapping[str, Mapping[str, float]], keys: Sequence[str]) -> NDArray[np.uint8]:
    """(H, W, 3): a group of bars a figure, a colour an encoder."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.2 + 0.32 * len(keys) * max(1, len(figures)) ** 0.5), dpi=110)
    renderer = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    height = 0.8 / len(figures)
    for number, (name, found) in enumerate(figures.items()):
        places = np.arange(len(keys)) + number * height
        axes.barh(places, [found.get(key, 0.0) for key in keys], height, label=name)
    axes.set_yticks(np.arange(len(keys)) + 0.4 - height / 2, keys)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    figure.tight_layout()
    renderer.draw()
    image: NDArray[np.uint8] = np.asarray(renderer.buffer_rgba())[..., :3].copy()
    return image
