"""Things of rendered rooms seen enlarged, pooled, with what they are: what a zoom head learns from."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from perception_contrast.encoders.dinov2 import DinoTower
from perception_contrast.encoders.preprocess import image_tensor
from perception_contrast.encoders.views import View, coverage, enlarged, form_of, view_of
from perception_contrast.encoders.zoom import SIDE, Pooled, pooled
from perception_contrast.sim.props import SceneObject
from perception_contrast.sim.scenes import LabelledPicture, SceneSampler, SceneSettings

from .words import SURFACES

LEAST_SHARE = 1e-3  # of the picture
MARGINS = (1.1, 1.7)
SHIFT = 0.08  # of the view's side
EMPTY = 2  # views a picture of no thing
SURFACE = 0.8  # share of such a view's mask that makes it one of a wall, a floor or a ceiling
PARTS = ("inside", "outside", "layout", "place", "colours", "form")
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ZoomJob:
    """One shard to make."""

    folder: Path
    seed: int
    pictures: int
    model: str
    layers: tuple[int, ...]
    offline: bool
    unseen: bool = False


@dataclass(frozen=True)
class Zoomed:
    """views: (n) things. objects: what each is, None for nothing in particular; scene: (n,) its picture."""

    views: Pooled
    objects: list[SceneObject | None]
    scene: NDArray[np.int64]


def blurred(mask: Mask, rng: np.random.Generator) -> Mask:
    """A mask as a search might find it: rounder, larger or smaller; itself where nothing would be left."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    sigma = float(rng.uniform(0.01, 0.1) * side)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(sigma, 0.3))
    found = soft > rng.uniform(0.25, 0.7)
    return found if found.sum() > 0.2 * mask.sum() else mask


def _box(mask: Mask) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _jittered(box: tuple[float, float, float, float], rng: np.random.Generator) -> View:
    view = view_of(box, float(rng.uniform(*MARGINS)))
    dx, dy = rng.uniform(-SHIFT, SHIFT, 2) * view.side
    return View(view.x + dx, view.y + dy, view.side)


def _things(picture: LabelledPicture, rng: np.random.Generator) -> Iterator[tuple[Mask, SceneObject | None]]:
    taken = np.zeros(picture.instances.shape, bool)
    for number, thing in picture.objects.items():
        mask = picture.instances == number
        # Walls and floors are seen by what is drawn at random below.
        if thing.category in SURFACES:
            continue
        taken |= mask
        if mask.mean() >= LEAST_SHARE:
            yield blurred(mask, rng), thing
    height, width = taken.shape
    for _ in range(EMPTY):
        radius = np.exp(rng.uniform(np.log(12), np.log(120), 2))
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        rows, columns = np.ogrid[:height, :width]
        blob = ((rows - y) / radius[0]) ** 2 + ((columns - x) / radius[1]) ** 2 < 1
        if blob.mean() >= LEAST_SHARE and taken[blob].mean() < 0.25:
            yield np.asarray(blob), _surface(picture, np.asarray(blob))


def _surface(picture: LabelledPicture, blob: Mask) -> SceneObject | None:
    """The wall, floor or ceiling that most of a blob lies on."""
    numbers, counts = np.unique(picture.instances[blob], return_counts=True)
    largest = picture.objects.get(int(numbers[counts.argmax()]))
    sure = counts.max() >= SURFACE * counts.sum()
    return largest if largest is not None and largest.category in SURFACES and sure else None


def views_of(
    image: NDArray[np.uint8],
    masks: Sequence[Mask],
    views: Sequence[View],
    tower: DinoTower,
    layers: Sequence[int],
) -> Pooled:
    """Regions of one picture, enlarged, encoded and pooled."""
    cells = SIDE // tower.patch
    whole = (0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
    crops = [enlarged(image, view, SIDE) for view in views]
    batch = torch.cat([image_tensor(c, (SIDE, SIDE), tower.mean, tower.std) for c in crops])
    plain = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        out = tower(batch, layers=layers)
    tokens = torch.cat([layer.float() for layer in out.layers], dim=-1)
    covered = torch.from_numpy(
        np.stack([coverage(m, whole, v, cells) for m, v in zip(masks, views, strict=True)])
    )
    forms = torch.tensor([form_of(_box(mask), float(mask.mean())) for mask in masks])
    return pooled(tokens, covered, plain, forms)


def make_zoomed(job: ZoomJob) -> Path:
    """Renders, encodes and writes one shard."""
    from perception_contrast.encoders.dinov2 import load_dino

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    tower = load_dino(job.model, offline=job.offline, pinned=True)
    rng = np.random.default_rng(job.seed)
    made: list[Pooled] = []
    objects: list[SceneObject | None] = []
    scene: list[int] = []
    settings = SceneSettings(unseen=job.unseen, offline=job.offline)
    for number, picture in zip(range(job.pictures), SceneSampler(job.seed, settings), strict=False):
        found = list(_things(picture, rng))
        if not found:
            continue
        views = [_jittered(_box(mask), rng) for mask, _ in found]
        made.append(views_of(picture.rgb, [mask for mask, _ in found], views, tower, job.layers))
        objects += [thing for _, thing in found]
        scene += [number] * len(found)
    _write(job.folder, made, objects, scene)
    return job.folder


def _write(
    folder: Path, made: Sequence[Pooled], objects: Sequence[SceneObject | None], scene: Sequence[int]
) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as held:
        partial = Path(held) / folder.name
        partial.mkdir()
        for part in PARTS:
            values = torch.cat([getattr(one, part) for one in made]).half().numpy()
            np.save(partial / f"{part}.npy", values)
        np.save(partial / "scene.npy", np.array(scene, np.int64))
        (partial / "objects.json").write_text(json.dumps([o and asdict(o) for o in objects]))
        if not folder.exists():
            partial.rename(folder)
