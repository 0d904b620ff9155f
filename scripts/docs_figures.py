"""Draws the figures of the explanations and of a tutorial anew, from a rendered room and our own code.

Run in a shell after `source env.sh`:
  python scripts/docs_figures.py
It writes docs/images/{augmentations,temperature,clip_and_dino,embedding_space,own_object}.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from numpy.typing import NDArray

import perception_contrast as pc
from perception_contrast.models.specs import IMAGENET_MEAN, IMAGENET_STD
from perception_contrast_sim.rooms.household import Household
from perception_contrast_sim.rooms.scenes import SceneSampler, SceneSettings
from perception_contrast_training.losses.ntxent import nt_xent
from perception_contrast_training.views.simclr import SimclrViews, SimclrViewSettings
from perception_contrast_training.views.view_transform import BackboneInput

mpl.use("Agg")
import matplotlib.pyplot as plt

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SEED = 910_027  # of rooms that no head was trained on
ROOMS, BATCH = 40, 6
TEMPERATURES = (0.05, 0.1, 0.5)
HOUSE, BIN = 21, (283, 178, 341, 234)  # a room, and the box of its waste bin in the first image
THINGS = ("chair", "potted plant", "table", "mug", "lamp", "book")
Rgb = NDArray[np.uint8]


def rooms() -> list[Rgb]:
    sampler = iter(SceneSampler(SEED, SceneSettings(views=1)))
    return [np.asarray(next(sampler).rgb) for _ in range(ROOMS)]


def views_of(image: Rgb, seed: int) -> tuple[Rgb, Rgb]:
    """Two views as SimCLR makes them."""
    wanted = BackboneInput(224, 14, IMAGENET_MEAN, IMAGENET_STD)
    maker = SimclrViews(SimclrViewSettings(), wanted)
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    made = maker(tensor, torch.Generator().manual_seed(seed))["views"]
    mean, std = (torch.tensor(one).view(1, 3, 1, 1) for one in (IMAGENET_MEAN, IMAGENET_STD))
    pixels = (made * std + mean).clamp(0, 1).mul(255).byte().permute(0, 2, 3, 1).numpy()
    return pixels[0], pixels[1]


def augmentations(images: list[Rgb]) -> None:
    figure, axes = plt.subplots(1, 7, figsize=(14, 2.3))
    shown = [("the frame", images[0])]
    for number in range(3):
        first, second = views_of(images[0], number)
        shown += [(f"pair {number + 1}", first), (f"pair {number + 1}", second)]
    for axis, (title, image) in zip(axes, shown, strict=True):
        axis.imshow(image)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    save(figure, "augmentations")


def temperature(images: list[Rgb], detector: pc.Detector) -> None:
    pairs = [views_of(image, 7) for image in images[:BATCH]]
    vectors = [
        torch.from_numpy(np.stack([detector(view, []).embedding for view in side]))
        for side in zip(*pairs, strict=True)
    ]
    first, second = (one.float() / one.norm(dim=1, keepdim=True) for one in vectors)
    cosines = first @ second.T
    figure, axes = plt.subplots(1, 1 + len(TEMPERATURES), figsize=(14, 3.6))
    panels = [("cosines of the views", cosines)]
    for value in TEMPERATURES:
        loss = nt_xent(first, second, value).item()
        panels.append((f"softmax, temperature {value:g}\nNT-Xent {loss:.2f}", (cosines / value).softmax(1)))
    for axis, (title, table) in zip(axes, panels, strict=True):
        axis.imshow(table, cmap="cividis", vmin=0, vmax=1)
        axis.set_title(title, fontsize=10)
        axis.set_xticks(range(BATCH))
        axis.set_yticks(range(BATCH))
        for row in range(BATCH):
            for column in range(BATCH):
                value = float(table[row, column])
                colour = "black" if value > 0.55 else "white"
                axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour)
    axes[0].set_ylabel("first view of frame")
    for axis in axes:
        axis.set_xlabel("second view of frame")
    save(figure, "temperature")


def clip_and_dino(images: list[Rgb], detector: pc.Detector) -> None:
    image = images[0]
    result = detector(image, list(THINGS))
    best = max(result.detections, key=lambda one: one.scores.probability)
    rows, columns = np.nonzero(result.masks[list(result.detections).index(best)])
    # The middle of a table's pixels may be the floor below it: the pixel of it that is nearest.
    nearest = np.argmin(np.hypot(rows - rows.mean(), columns - columns.mean()))
    point = (float(columns[nearest]), float(rows[nearest]))
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.2))
    axes[0].imshow(image)
    axes[0].plot(*point, "o", color="white", markeredgecolor="black", markersize=9)
    axes[0].set_title("a frame, and a click")
    axes[1].imshow(result.plot_features())
    axes[1].set_title("DINOv2: three principal components")
    axes[2].imshow(detector.similarity(image, point=point), cmap="cividis")
    axes[2].set_title("DINOv2: cosine with the clicked patch")
    axes[3].imshow(detector.similarity(image, text=best.label), cmap="cividis")
    axes[3].set_title(f"language features: cosine with “{best.label}”")
    for axis in axes:
        axis.axis("off")
    save(figure, "clip_and_dino")


def embedding_space(images: list[Rgb], detector: pc.Detector) -> None:
    vectors, labels = [], []
    for image in images:
        result = detector(image, list(THINGS), threshold=0.3)
        features = result.region_features
        for one, vector in zip(features.detections, features.vectors, strict=True):
            vectors.append(vector.semantic)
            labels.append(one.label)
    words = detector.embed_texts(list(THINGS))
    stacked = np.concatenate([np.stack(vectors), words]).astype(np.float64)
    stacked /= np.linalg.norm(stacked, axis=1, keepdims=True)
    centred = stacked - stacked[: len(vectors)].mean(0)
    places = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    figure, axis = plt.subplots(figsize=(8, 5))
    for number, thing in enumerate(THINGS):
        chosen = [index for index, label in enumerate(labels) if label == thing]
        colour = plt.get_cmap("tab10")(number)
        axis.scatter(*places[chosen].T, color=colour, s=22, alpha=0.8, label=f"{thing} ({len(chosen)})")
        axis.annotate(thing, places[len(vectors) + number], color=colour, weight="bold")
        axis.scatter(*places[len(vectors) + number], color=colour, marker="*", s=160, edgecolor="black")
    axis.legend(title="regions found, stars: the words", fontsize=8)
    axis.set_xlabel("first principal component")
    axis.set_ylabel("second")
    save(figure, "embedding_space")


def own_object(detector: pc.Detector) -> None:
    """A thing is shown once by a box, and found five seconds later."""
    house = Household(HOUSE)
    try:
        shown, searched = (np.asarray(house.render(seconds).rgb) for seconds in (0.0, 5.0))
    finally:
        house.close()
    exemplar = detector.exemplar(shown, box=BIN)
    result = detector(searched, [pc.Query("my bin", exemplars=(exemplar,))])
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.9))
    left, top, right, bottom = BIN
    axes[0].imshow(shown)
    axes[0].add_patch(plt.Rectangle((left, top), right - left, bottom - top, fill=False, color="yellow"))
    axes[0].set_title("shown once, by a box")
    axes[1].imshow(result.plot())
    axes[1].set_title("found in another image of the room")
    for axis in axes:
        axis.axis("off")
    save(figure, "own_object")


def save(figure: plt.Figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(IMAGES / f"{name}.png", dpi=110, bbox_inches="tight")
    plt.close(figure)


def main() -> int:
    images, detector = rooms(), pc.load("household-lit")
    augmentations(images)
    temperature(images, detector)
    clip_and_dino(images, detector)
    embedding_space(images, detector)
    own_object(detector)
    return 0


if __name__ == "__main__":
    sys.exit(main())
