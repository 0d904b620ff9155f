"""Recall and false names of a search in frames of simulated cosines, over the range that models differ by.

Real cosines of names with cells differ between models, words and rooms. Here their means are set: those of
a name where it is shown, of a name where it is not, and of the generic names. So it is known how much a
search depends on them. ``python -m perception_contrast.bench.simulated_cosines`` prints the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.ndimage import correlate1d

from perception_contrast.core.arrays import BoolMask, Box, Float64Array, FloatArray, RgbImage, Size
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.segmentation.scoring.base import Scorer
from perception_contrast.segmentation.scoring.contrast_scorer import ContrastScorer
from perception_contrast.segmentation.scoring.name_bank import NameBank
from perception_contrast.segmentation.search_settings import SearchSettings
from perception_contrast.segmentation.searcher import Searcher
from perception_contrast.segmentation.searcher_factory import PEAK_LOGIT, assemble_searcher

SPACE = "simulated@0"
CELL = 16  # pixels
GRID: Size = (27, 36)
NOISE = 0.015  # standard deviation of a cosine from cell to cell
OFFSETS = 0.01  # of the levels of names
RELATED = 3  # generic names of the same thing, for each name that is shown
SURFACES = 3  # generic names that the background shows


@dataclass(frozen=True)
class Means:
    """Means of cosines: of a name where it is shown and where it is not, and of generic names."""

    true: float
    false: float
    neutral: float


@dataclass(frozen=True)
class Family:
    """A family of models. scale: of cosines, as trained."""

    scale: float
    means: Means


# Levels as they lie for each kind of training: a softmax leaves all cosines high and close, a sigmoid
# draws those of other names to 0. The scales are those of the published weights.
FAMILIES = {
    "CLIP, MetaCLIP, DFN": Family(100.0, Means(0.27, 0.19, 0.20)),
    "MobileCLIP 2, Perception Encoder": Family(100.0, Means(0.22, 0.13, 0.14)),
    "SigLIP": Family(117.3, Means(0.11, 0.03, 0.04)),
    "SigLIP 2": Family(112.7, Means(0.12, 0.03, 0.02)),
}
SHIFTS = (-0.05, 0.0, 0.05)
GAPS = (0.05, 0.06, 0.08, 0.10, 0.12)


@dataclass(frozen=True)
class Figures:
    """Over many frames. recall: share of things that were found; false_names: absent names a frame that
    were reported."""

    recall: float
    false_names: float


@dataclass(frozen=True)
class Texts:
    """Vectors of names whose text cosines are like those of real ones: alike, related ones more.

    Attributes:
        queries: (n, c) names that are asked for.
        bank: (k, c) generic names, the first RELATED * n of them related to the queries in turn.
    """

    queries: FloatArray
    bank: FloatArray

    @classmethod
    def drawn(cls, rng: np.random.Generator, queries: int, bank: int) -> Texts:
        """Names with a common part, and one of their own."""
        dim = queries + bank + 2
        own = np.eye(dim)
        common, generic = own[-2], own[-1]
        of_queries = 0.6 * common + 0.8 * own[:queries]
        of_bank = 0.6 * common + 0.3 * generic + 0.74 * own[queries : queries + bank]
        for place in range(RELATED * queries):
            of_bank[place] += 0.6 * own[place // RELATED]
        jitter = rng.normal(0.0, 0.2 / np.sqrt(dim), (queries + bank, dim))
        rows = np.concatenate([of_queries, of_bank]) + jitter
        rows = np.pad(rows, ((0, 0), (0, 1)))  # room for what a cell has in common with no name
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return cls(rows[:queries].astype(np.float32), rows[queries:].astype(np.float32))

    @property
    def rows(self) -> FloatArray:
        """Queries, then the bank."""
        return np.concatenate([self.queries, self.bank])


@dataclass(frozen=True)
class Scene:
    """One frame. boxes: of the things, in cells; thing k shows query k.  grid: its features; image: likewise
    painted, with an edge where a thing ends."""

    boxes: tuple[Box, ...]
    grid: FeatureGrid
    image: RgbImage


@dataclass(frozen=True)
class Simulation:
    """Frames with things that are asked for, among as many names that are not there.

    Attributes:
        present: things of a frame, each of a name of its own.
        absent: names that no frame shows.
        bank: generic names.
        frames: how many.
        seed: of the draws.
        shared_noise: part of the noise's variance that neighbouring cells share.
    """

    present: int = 6
    absent: int = 30
    bank: int = 300
    frames: int = 8
    seed: int = 0
    shared_noise: float = 0.5
    texts: Texts = field(init=False)

    def __post_init__(self) -> None:
        drawn = Texts.drawn(np.random.default_rng(self.seed), self.present + self.absent, self.bank)
        object.__setattr__(self, "texts", drawn)

    def figures(self, searcher: Searcher, means: Means) -> Figures:
        """Asks for all names in every frame."""
        labels = [f"name {index}" for index in range(self.present + self.absent)]
        prepared = PreparedQueries(
            Vocabulary().with_queries([Query(label) for label in labels]),
            tuple(self.texts.queries[index : index + 1] for index in range(len(labels))),
        )
        settings = SearchSettings(min_region_share=0.0)
        found, reported = 0, 0
        for scene in self.scenes(means):
            result = searcher.find(scene.image, scene.grid, None, prepared, settings)
            boxes: dict[str, list[Box]] = {}
            for one in result.detections:
                boxes.setdefault(one.label, []).append(one.box)
            for label, box in zip(labels, scene.boxes, strict=False):
                truth = (box[0] * CELL, box[1] * CELL, box[2] * CELL, box[3] * CELL)
                found += any(_overlap(truth, other) >= 0.5 for other in boxes.get(label, ()))
            reported += sum(label in boxes for label in labels[self.present :])
        return Figures(found / (self.frames * self.present), reported / self.frames)

    def scenes(self, means: Means) -> Iterator[Scene]:
        """The frames. The same things and the same noise for all means: what differs is what they do."""
        inverse = np.linalg.pinv(self.texts.rows.astype(np.float64))
        for number in range(self.frames):
            rng = np.random.default_rng((self.seed, number))
            boxes = _placed(rng, self.present)
            cosines = self._cosines(rng, boxes, means)
            cells = cosines @ inverse.T
            cells[:, -1] = np.sqrt(1.0 - (cells**2).sum(axis=1))
            values = cells.reshape(*GRID, -1).astype(np.float32)
            size = (GRID[0] * CELL, GRID[1] * CELL)
            place = GridToImage.of_resize(size, GRID)
            yield Scene(boxes, FeatureGrid(values, "simulated", SPACE, place, size), _painted(rng, boxes))

    def _cosines(self, rng: np.random.Generator, boxes: Sequence[Box], means: Means) -> Float64Array:
        """(cells, names) cosines of the cells with the queries, then with the bank."""
        asked = self.present + self.absent
        levels = np.full(asked + self.bank, means.neutral)
        levels[:asked] = means.false
        offsets = rng.normal(0.0, OFFSETS, len(levels))
        cosines = np.broadcast_to(levels + offsets, (*GRID, len(levels))).copy()
        surfaces = asked + RELATED * asked + np.arange(SURFACES)
        for index, surface in enumerate(surfaces):
            rows = slice(GRID[0] * index // SURFACES, GRID[0] * (index + 1) // SURFACES)
            cosines[rows, :, surface] += means.true - means.neutral
        for index, (x0, y0, x1, y1) in enumerate(boxes):
            related = asked + RELATED * index + np.arange(RELATED)
            cosines[y0:y1, x0:x1, surfaces] = (levels + offsets)[surfaces]
            cosines[y0:y1, x0:x1, index] += means.true - means.false
            cosines[y0:y1, x0:x1, related] += means.true - means.neutral
        cosines += _noise(rng, len(levels), self.shared_noise)
        return cosines.reshape(-1, len(levels))


def contrast_searcher(family: Family, simulation: Simulation) -> Searcher:
    """The searcher of a family, as the package builds it."""
    return searcher_of(ContrastScorer(NameBank(simulation.texts.bank), family.scale))


def searcher_of(scorer: Scorer) -> Searcher:
    """A searcher of simulated features by one scorer."""
    return assemble_searcher(scorer, PEAK_LOGIT, text_space=SPACE, exemplar_space=SPACE)


def settings_of(means: Means) -> dict[str, Means]:
    """Each mean shifted alone, and gaps between a name where it is and where it is not."""
    every = {"as it is": means}
    for name in ("true", "false", "neutral"):
        for shift in SHIFTS:
            if shift:
                every[f"{name} {shift:+.2f}"] = replace(means, **{name: getattr(means, name) + shift})
    for gap in GAPS:
        every[f"gap {gap:.2f}"] = replace(means, true=means.false + gap)
    return every


def table(
    simulation: Simulation, made: Callable[[Family, Simulation], Searcher] = contrast_searcher
) -> dict[str, dict[str, Figures]]:
    """Figures of every family in every setting."""
    return {
        name: {
            setting: simulation.figures(made(family, simulation), means)
            for setting, means in settings_of(family.means).items()
        }
        for name, family in FAMILIES.items()
    }


def _noise(rng: np.random.Generator, names: int, shared: float) -> Float64Array:
    """(rows, columns, names) noise, of whose variance neighbouring cells share a part."""
    own = rng.normal(0.0, NOISE, (*GRID, names))
    wider = rng.normal(0.0, NOISE, (*GRID, names))
    for axis in (0, 1):
        wider = correlate1d(wider, [0.25, 0.5, 0.25], axis=axis, mode="wrap")
    wider *= NOISE / wider.std()
    return np.asarray(np.sqrt(1.0 - shared) * own + np.sqrt(shared) * wider)


def _placed(rng: np.random.Generator, count: int) -> tuple[Box, ...]:
    """Boxes of 3 to 8 cells a side with free cells between them."""
    taken: BoolMask = np.zeros(GRID, bool)
    boxes: list[Box] = []
    while len(boxes) < count:
        wide, high = (int(side) for side in rng.integers(3, 9, 2))
        x, y = int(rng.integers(GRID[1] - wide + 1)), int(rng.integers(GRID[0] - high + 1))
        if taken[max(0, y - 2) : y + high + 2, max(0, x - 2) : x + wide + 2].any():
            continue
        taken[y : y + high, x : x + wide] = True
        boxes.append((x, y, x + wide, y + high))
    return tuple(boxes)


def _painted(rng: np.random.Generator, boxes: Sequence[Box]) -> RgbImage:
    image = np.full((GRID[0] * CELL, GRID[1] * CELL, 3), 128, np.uint8)
    for x0, y0, x1, y1 in boxes:
        image[y0 * CELL : y1 * CELL, x0 * CELL : x1 * CELL] = rng.integers(0, 256, 3)
    return image


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    common = max(wide, 0) * max(high, 0)
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (one, other)]
    return common / (sum(areas) - common)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m perception_contrast.bench.simulated_cosines")
    parser.add_argument("--frames", type=int, default=8, help="for each setting; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    arguments = parser.parse_args(argv)
    figures = table(Simulation(frames=arguments.frames, seed=arguments.seed))
    names = list(figures)
    print("Recall, and false names a frame of 30 that are absent:\n")
    print(f"| | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}")
    for setting in next(iter(figures.values())):
        row = [figures[name][setting] for name in names]
        print(f"| {setting} | {' | '.join(f'{one.recall:.2f}, {one.false_names:.1f}' for one in row)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
