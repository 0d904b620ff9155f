"""Draws the figures of the documents anew, from rendered rooms and our own code.

Run in a shell after `source env.sh`:
  python scripts/docs_figures.py
It writes docs/images/{augmentations,clip_and_dino,contact_sheet,embedding_space,frame_vectors,graph,
own_object,temperature}.png.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from numpy.typing import NDArray

import perception_contrast as pc
from perception_contrast.images.files import save_image
from perception_contrast.models.specs import IMAGENET_MEAN, IMAGENET_STD
from perception_contrast_sim.rooms.household import ORBIT_SECONDS
from perception_contrast_sim.rooms.posed_household import PosedHousehold
from perception_contrast_sim.rooms.scenes import SceneSampler, SceneSettings
from perception_contrast_training.data.curation.contact_sheet import sheet_of, tile_of
from perception_contrast_training.losses.ntxent import nt_xent
from perception_contrast_training.views.simclr import SimclrViews, SimclrViewSettings
from perception_contrast_training.views.view_transform import BackboneInput

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import FancyBboxPatch

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SEED = 910_027  # of rooms that no head was trained on
ROOMS, BATCH = 40, 6
SHEET, FRAMES_OF_A_ROOM = 12, 10
TEMPERATURES = (0.05, 0.1, 0.5)
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
    """One thing of a room is shown in one image and looked for in another of the same room."""
    name, first, box, second = shown_and_searched(detector)
    shown = detector.exemplar(first, box=box)
    result = detector(second, [pc.Query(f"my {name}", exemplars=(shown,))])
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.3))
    axes[0].imshow(first)
    left, top, right, bottom = box
    frame = plt.Rectangle((left, top), right - left, bottom - top, fill=False, color="#ff2d9b", linewidth=3)
    axes[0].add_patch(frame)
    axes[0].set_title("shown once: a box in one image")
    axes[1].imshow(result.plot())
    axes[1].set_title(f"another image: found as “my {name}”")
    for axis in axes:
        axis.axis("off")
    save(figure, "own_object")


def shown_and_searched(detector: pc.Detector) -> tuple[str, Rgb, tuple[int, int, int, int], Rgb]:
    """A thing, two images of one room that show it large, and its box in the first."""
    seen: dict[str, list[tuple[int, tuple[int, int, int, int], Rgb]]] = defaultdict(list)
    for posed in PosedHousehold(SEED, 16):
        image = np.asarray(posed.frame.image)
        for one in detector(image, list(THINGS)).detections:
            left, top, right, bottom = one.box
            inside = left > 0 and top > 0 and right < image.shape[1] and bottom < image.shape[0]
            if inside and one.scores.probability > 0.7:
                seen[one.label].append(((right - left) * (bottom - top), one.box, image))
    pairs = {name: sorted(found, key=lambda one: -one[0])[:2] for name, found in seen.items()}
    name = max((one for one in pairs if len(pairs[one]) == 2), key=lambda one: pairs[one][1][0])
    (_, box, first), (_, _, second) = pairs[name]
    return name, first, box, second


def contact_sheet() -> None:
    """Images of a round through a room, as `data view` shows those of a dataset."""
    seconds = ORBIT_SECONDS / SHEET
    tiles = [
        tile_of(np.asarray(posed.frame.image), f"{number}: {number * seconds:.1f} s")
        for number, posed in enumerate(PosedHousehold(SEED, SHEET))
    ]
    save_image(IMAGES / "contact_sheet.png", sheet_of(tiles))


def frame_vectors(detector: pc.Detector) -> None:
    """Images of three rooms at the places of their vectors."""
    images = [
        np.asarray(posed.frame.image)
        for room in range(3)
        for posed in PosedHousehold(SEED + room, FRAMES_OF_A_ROOM)
    ]
    vectors = np.stack([detector(image, []).embedding for image in images]).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    centred = vectors - vectors.mean(0)
    places = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    figure, axis = plt.subplots(figsize=(11, 6))
    axis.scatter(*places.T, s=0)
    for number, (image, place) in enumerate(zip(images, places, strict=True)):
        colour = plt.get_cmap("tab10")(number // FRAMES_OF_A_ROOM)
        frame = {"edgecolor": colour, "linewidth": 3}
        axis.add_artist(
            AnnotationBbox(OffsetImage(image[::8, ::8], zoom=0.8), place, bboxprops=frame, pad=0.1)
        )
    axis.set_xlabel("first principal component of the vectors")
    axis.set_ylabel("second")
    axis.margins(0.12)
    save(figure, "frame_vectors")


# Name, place and size of each box of the graph; names of topics beside the arrows.
GRAPH_BOXES = {
    "camera driver": (0.1, 2.1, "your robot"),
    "perception_node": (4.0, 2.1, "DINOv2 + language model"),
    "map_node": (8.8, 3.4, "3D map, memory"),
    "your nodes": (8.8, 2.1, "subscribe, or PerceptionClient"),
    "studio": (8.8, 0.8, "in the browser"),
}
BEHIND = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
GRAPH_ARROWS = (
    ("camera driver", "perception_node", "image, depth,\ncamera_info"),
    ("perception_node", "map_node", "~/instances,\n~/region_features"),
    ("perception_node", "your nodes", "~/detections, ~/masks"),
    ("perception_node", "studio", "~/overlay, ~/features"),
)


def graph() -> None:
    """Which nodes there are and what they say to each other."""
    figure, axis = plt.subplots(figsize=(12, 4.4))
    width, height = 2.5, 0.9
    for name, (x, y, note) in GRAPH_BOXES.items():
        own = name not in ("camera driver", "your nodes")
        colour = "#d9f2e6" if own else "#eeeeee"
        style = "round,pad=0.02,rounding_size=0.12"
        box = FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=colour, edgecolor="#0b6e4f")
        axis.add_patch(box)
        axis.text(x + width / 2, y + 0.58, name, ha="center", va="center", fontsize=11, weight="bold")
        axis.text(x + width / 2, y + 0.25, note, ha="center", va="center", fontsize=8)
    for source, target, topics in GRAPH_ARROWS:
        (x0, y0, _), (x1, y1, _) = GRAPH_BOXES[source], GRAPH_BOXES[target]
        start, end = (x0 + width + 0.03, y0 + height / 2), (x1 - 0.03, y1 + height / 2)
        axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "#0b6e4f", "linewidth": 1.6})
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        above = 0.12 if y0 == y1 else 0.0
        axis.text(
            middle[0],
            middle[1] + above,
            topics,
            ha="center",
            va="bottom" if above else "center",
            fontsize=8,
            bbox=BEHIND,
        )
    axis.annotate(
        "",
        (GRAPH_BOXES["perception_node"][0] + 1.6, 2.07),
        (GRAPH_BOXES["studio"][0] - 0.03, 1.05),
        arrowprops={"arrowstyle": "-|>", "color": "#888888", "connectionstyle": "arc3,rad=-0.25"},
    )
    axis.text(6.3, 0.72, "~/set_queries, ~/add_exemplar", ha="center", fontsize=8, color="#555555")
    axis.text(10.05, 4.45, "~/find: where is the red mug?", ha="center", fontsize=8, color="#555555")
    axis.set_xlim(0, 11.5)
    axis.set_ylim(0.4, 4.7)
    axis.axis("off")
    save(figure, "graph")


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
    contact_sheet()
    frame_vectors(detector)
    graph()
    return 0


if __name__ == "__main__":
    sys.exit(main())
