"""Things of rendered rooms seen enlarged, pooled, with what they are: what the rescoring head learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.core.errors import PerceptionError
from perception_contrast.encoders.dinov2 import DinoTower
from perception_contrast.encoders.rescoring_head import SIDE, Pooled, pooled
from perception_contrast.preprocessing.region_crops import View, coverage, enlarged, form_of, view_of
from perception_contrast.preprocessing.to_tensor import image_tensor
from perception_contrast_sim.objects.props import SceneObject
from perception_contrast_sim.rooms.scenes import LabelledScene, SceneSampler, SceneSettings
from perception_contrast_training.household.precision import encoding_precision
from perception_contrast_training.household.scene_shards import read_shard, write_shard
from perception_contrast_training.household.words import SURFACES

LEAST_SHARE = 1e-3  # of the image
MARGINS = (1.1, 1.7)
SHIFT = 0.08  # of the view's side
EMPTY = 2  # views an image of no thing
SURFACE = 0.8  # share of such a view's mask that makes it one of a wall, a floor or a ceiling
PARTS = ("inside", "outside", "layout", "place", "colours", "form")
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class EnlargedJob:
    """One shard to make."""

    folder: Path
    seed: int
    images: int
    model: str
    layers: tuple[int, ...]
    offline: bool
    unseen: bool = False


Arrays = Mapping[str, NDArray[Any]]


Thing = TypeVar("Thing")


class EnlargedRegions(Generic[Thing]):
    """Things of shards, in order; their views stay on disk until they are drawn.

    objects: what each is; of rendered scenes None for nothing in particular. scene: (n,) its image.
    shares: (n,) float32 of the image that it covers.
    """

    def __init__(self, shards: Sequence[Arrays], objects: Sequence[Thing]) -> None:
        self.objects = list(objects)
        self._shards = shards
        self._starts = np.cumsum([0, *(len(shard["scene"]) for shard in shards)])
        begun = 0
        scene: list[NDArray[np.int64]] = []
        for shard in shards:
            scene.append(np.asarray(shard["scene"]) + begun)
            begun = int(scene[-1].max()) + 1
        self.scene: NDArray[np.int64] = np.concatenate(scene)
        forms = np.concatenate([shard["form"] for shard in shards])
        self.shares: NDArray[np.float32] = 10.0 ** forms[:, 0].astype(np.float32)

    def __len__(self) -> int:
        return len(self.objects)

    @property
    def channels(self) -> int:
        """Of the tokens, all layers together."""
        return int(self._shards[0]["inside"].shape[1])

    def views(self, rows: Tensor) -> Pooled:
        """Of some things, float32. rows: (n,) int64."""
        wanted = rows.numpy()
        shard = np.searchsorted(self._starts, wanted, side="right") - 1
        found = {p: np.empty((len(wanted), *self._shards[0][p].shape[1:]), np.float32) for p in PARTS}
        for number in np.unique(shard):
            here = np.flatnonzero(shard == number)
            local = wanted[here] - self._starts[number]
            for part, values in found.items():
                values[here] = self._shards[number][part][local]
        return Pooled(**{part: torch.from_numpy(values) for part, values in found.items()})


RenderedRegions = EnlargedRegions[SceneObject | None]


def blurred(mask: Mask, rng: np.random.Generator) -> Mask:
    """A mask as a search might find it: rounder, larger or smaller; itself where nothing would be left."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    sigma = float(rng.uniform(0.01, 0.1) * side)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(sigma, 0.3))
    found = soft > rng.uniform(0.25, 0.7)
    return found if found.sum() > 0.2 * mask.sum() else mask


def box_of_mask(mask: Mask) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def jittered_view(box: tuple[float, float, float, float], rng: np.random.Generator) -> View:
    view = view_of(box, float(rng.uniform(*MARGINS)))
    dx, dy = rng.uniform(-SHIFT, SHIFT, 2) * view.side
    return View(view.x + dx, view.y + dy, view.side)


def _things(image: LabelledScene, rng: np.random.Generator) -> Iterator[tuple[Mask, SceneObject | None]]:
    taken = np.zeros(image.instances.shape, bool)
    for number, thing in image.objects.items():
        mask = image.instances == number
        # Walls and floors are seen by what is drawn at random below.
        if thing.category in SURFACES:
            continue
        taken |= mask
        if mask.mean() >= LEAST_SHARE:
            yield blurred(mask, rng), thing
    height, width = image.rgb.shape[:2]
    for _ in range(EMPTY):
        radius = np.exp(rng.uniform(np.log(12), np.log(120), 2))
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        rows, columns = np.arange(height)[:, None], np.arange(width)[None]
        blob = ((rows - y) / radius[0]) ** 2 + ((columns - x) / radius[1]) ** 2 < 1
        if blob.mean() >= LEAST_SHARE and taken[blob].mean() < 0.25:
            yield np.asarray(blob), _surface(image, np.asarray(blob))


def _surface(image: LabelledScene, blob: Mask) -> SceneObject | None:
    """The wall, floor or ceiling that most of a blob lies on."""
    numbers, counts = np.unique(image.instances[blob], return_counts=True)
    largest = image.objects.get(int(numbers[counts.argmax()]))
    sure = counts.max() >= SURFACE * counts.sum()
    return largest if largest is not None and largest.category in SURFACES and sure else None


def views_of(
    image: NDArray[np.uint8],
    masks: Sequence[Mask],
    views: Sequence[View],
    tower: DinoTower,
    layers: Sequence[int],
) -> Pooled:
    """Regions of one image, enlarged, encoded and pooled."""
    cells = SIDE // tower.patch
    whole = (0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
    crops = [enlarged(image, view, SIDE) for view in views]
    batch = torch.cat([image_tensor(c, (SIDE, SIDE), tower.mean, tower.std) for c in crops])
    plain = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode(), encoding_precision():
        out = tower(batch, layers=layers)
    tokens = torch.cat([layer.float() for layer in out.layers], dim=-1)
    covered = torch.from_numpy(
        np.stack([coverage(m, whole, v, cells) for m, v in zip(masks, views, strict=True)])
    )
    forms = torch.tensor([form_of(box_of_mask(mask), float(mask.mean())) for mask in masks])
    return pooled(tokens, covered, plain, forms)


@dataclass(frozen=True)
class Region:
    """What a search might find of a thing, None for nothing in particular, and the view of it."""

    mask: Mask
    view: View
    thing: SceneObject | None


def regions_of(job: EnlargedJob) -> Iterator[tuple[int, LabelledScene, list[Region]]]:
    """The images of a job by number, with their regions; the same job gives the same."""
    rng = np.random.default_rng(job.seed)
    settings = SceneSettings(unseen=job.unseen, offline=job.offline)
    for number, image in zip(range(job.images), SceneSampler(job.seed, settings), strict=False):
        found = list(_things(image, rng))
        yield (
            number,
            image,
            [Region(mask, jittered_view(box_of_mask(mask), rng), thing) for mask, thing in found],
        )


def make_regions(job: EnlargedJob) -> Path:
    """Renders, encodes and writes one shard. Raises PerceptionError if nothing in it can be looked at."""
    from perception_contrast.encoders.dinov2 import load_dino

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    tower = load_dino(job.model, offline=job.offline, pinned=True)
    made: list[Pooled] = []
    objects: list[SceneObject | None] = []
    scene: list[int] = []
    for number, image, regions in regions_of(job):
        if not regions:
            continue
        masks, views = [one.mask for one in regions], [one.view for one in regions]
        made.append(views_of(image.rgb, masks, views, tower, job.layers))
        objects += [one.thing for one in regions]
        scene += [number] * len(regions)
    if not made:
        raise PerceptionError(
            f"nothing in the scenes of seed {job.seed} is large enough; render more of them"
        )
    write_regions(job.folder, made, scene, [thing and asdict(thing) for thing in objects])
    return job.folder


def write_regions(folder: Path, made: Sequence[Pooled], scene: Sequence[int], told: object) -> None:
    """Writes a shard.

    Args:
        folder: That appears whole.
        made: Views, image by image.
        scene: Number of each view's image.
        told: What the views show, for JSON.
    """
    arrays = {part: torch.cat([getattr(one, part) for one in made]).half().numpy() for part in PARTS}
    write_shard(folder, {**arrays, "scene": np.array(scene, np.int64)}, told)


def load_regions(folders: Sequence[Path]) -> RenderedRegions:
    """The things of all shards. Raises PerceptionError for one that cannot be read or is of another kind."""
    return load_shards(folders, lambda stored: [thing and SceneObject(**thing) for thing in stored])


def load_shards(folders: Sequence[Path], things_of: Callable[[Any], list[Thing]]) -> EnlargedRegions[Thing]:
    """The things of all shards.

    Args:
        folders: Of the shards.
        things_of: What a shard tells of its things, as objects.

    Raises:
        PerceptionError: A shard cannot be read or is of other views than the first.
    """
    if not folders:
        raise PerceptionError("no shards of things were named; render some first")
    shards: list[Arrays] = []
    objects: list[Thing] = []
    for folder in folders:
        arrays, stored = read_shard(folder, (*PARTS, "scene"))
        things = things_of(stored)
        _require_fit(folder, arrays, len(things), shards[0] if shards else arrays)
        # As plain arrays they are drawn from in half the time.
        shards.append({name: np.asarray(values) for name, values in arrays.items()})
        objects += things
    return EnlargedRegions(shards, objects)


def _require_fit(folder: Path, arrays: Arrays, count: int, other: Arrays) -> None:
    lengths = {name: len(values) for name, values in arrays.items()}
    if set(lengths.values()) != {count}:
        raise PerceptionError(
            f"shard '{folder}' holds {count} things and arrays of other lengths ({lengths}); "
            "delete it to make it anew"
        )
    if any(arrays[name].shape[1:] != other[name].shape[1:] for name in PARTS):
        raise PerceptionError(f"shard '{folder}' is of other views than the first; delete it to make it anew")
