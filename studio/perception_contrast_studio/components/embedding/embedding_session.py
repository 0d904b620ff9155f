"""What one visitor of the embedding page looks at, and the tasks that compute it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import PerceptionError, SpaceError
from perception_contrast_studio.components.embedding.point_cloud_view import CloudPicture
from perception_contrast_studio.components.embedding.point_colours import (
    LegendEntry,
    group_colours,
    legend_of,
    plain_colours,
    time_colours,
    ways_of,
)
from perception_contrast_studio.components.embedding.point_pictures import point_pictures
from perception_contrast_studio.points.point_set import PointSet
from perception_contrast_studio.points.sources import Source
from perception_contrast_studio.server.studio_page import Visit

NEIGHBOURS = 8
MOST_WORDS = 20
# Opening, principal components and neighbours share a process and its vectors.
LANE = "points"
Tell = Callable[[float, str], None]
Near = list[tuple[int, float]]
_NONE: NDArray[np.int64] = np.empty(0, np.int64)


@dataclass(frozen=True)
class Projection:
    """How vectors become places.

    Attributes:
        method: "PCA" or "UMAP".
        dimensions: 2 or 3.
        near: UMAP's n_neighbors.
        spread: UMAP's min_dist.
    """

    method: str = "PCA"
    dimensions: int = 2
    near: int = 15
    spread: float = 0.1


@dataclass(frozen=True)
class Word:
    """A text among the points.

    Attributes:
        text: As typed.
        vector: (c,) unit vector.
        place: x, y, z.
        near: Its nearest points with their cosines.
    """

    text: str
    vector: FloatArray
    place: Sequence[float]
    near: Near


class EmbeddingSession:
    """The state of a view.

    Attributes:
        source, points: What is shown; None before anything is.
        projection: How.
        positions: (n, 3) float32, within -1 to 1.
        caption: How the picture was made, for people.
        way: What the colours mean, of ``point_colours.WAYS``.
        clusters: Wanted clusters.
        legend: Groups of the colours; empty by time.
        hidden: Numbers of groups that are not drawn.
        selection: (m,) int64 points in the lasso.
        picked: The chosen point, or -1.
        words: Among the points.
        words_refusal: Why there can be none; "" where they can be placed.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit, self._workers = visit, visit.studio.workers
        self.source: Source | None = None
        self.points: PointSet | None = None
        self.projection = Projection()
        self.positions: FloatArray = np.empty((0, 3), np.float32)
        self.caption = ""
        self.way, self.clusters = "", 8
        self.legend: list[LegendEntry] = []
        self.hidden: set[int] = set()
        self.selection = _NONE
        self.picked = -1
        self.words: list[Word] = []
        self.words_refusal = ""
        self._held: dict[Projection, tuple[FloatArray, str]] = {}
        self._groups: NDArray[np.int32] = np.empty(0, np.int32)
        self._found_clusters: dict[int, NDArray[np.int32]] = {}
        self._urls: dict[str, str] = {}
        self._running: asyncio.Future[Any] | None = None

    async def open(self, source: Source, tell: Tell) -> None:
        """Shows other points, by PCA first. Raises PerceptionError."""
        dimensions = self.projection.dimensions
        points, positions, shares, refusal = await self._workers.run(
            "points.projection:open_points", lane=LANE, on_progress=tell, source=source, dimensions=dimensions
        )
        self.source, self.points, self.words_refusal = source, points, refusal
        self.projection = Projection(dimensions=dimensions)
        self.positions, self.caption = positions, _pca_caption(shares)
        self._held = {self.projection: (positions, self.caption)}
        self._found_clusters, self.selection, self.picked, self.words = {}, _NONE, -1, []
        possible = ways_of(points)
        await self.colour_by(self.way if self.way in possible else possible[0], tell)

    def close(self) -> None:
        """Shows nothing."""
        self.source, self.points, self.words_refusal = None, None, ""
        self.positions, self.caption, self.legend = np.empty((0, 3), np.float32), "", []
        self._held, self._found_clusters = {}, {}
        self.selection, self.picked, self.words = _NONE, -1, []

    async def project(self, wanted: Projection, tell: Tell) -> None:
        """Shows the points by another projection.

        Raises:
            PerceptionError: It failed.
            asyncio.CancelledError: ``cancel`` was called.
        """
        source = self.source
        if source is None:
            return
        if wanted not in self._held:
            self._held[wanted] = await self._projected(source, wanted, tell)
        if source is not self.source:
            return
        self.projection = wanted
        self.positions, self.caption = self._held[wanted]
        await self._place_words()

    def cancel(self) -> None:
        """Ends the projection that runs."""
        if self._running is not None:
            self._running.cancel()

    async def colour_by(self, way: str, tell: Tell) -> None:
        """Groups the points for other colours. Raises PerceptionError."""
        points, count = self._open(), self.clusters
        names: Sequence[str] = ()
        groups = np.full(len(points), -1, np.int32)
        if way == "label":
            groups, names = points.labels, points.classes
        elif way == "bag":
            groups, names = points.bags, points.bag_names
        elif way == "cluster":
            if count not in self._found_clusters:
                self._found_clusters[count] = await self._workers.run(
                    "points.projection:clusters", lane=LANE, on_progress=tell, source=self.source, count=count
                )
            groups, names = self._found_clusters[count], [f"cluster {number + 1}" for number in range(count)]
        if points is not self.points:
            return
        self.way, self._groups, self.hidden = way, groups, set()
        self.legend = legend_of(groups, names) if way not in ("time", "none") else []

    def picture(self, *, animate: bool = False, keep: bool = False) -> CloudPicture:
        """What the browser draws."""
        points = self._open()
        return CloudPicture(
            positions=self._published("positions", np.ascontiguousarray(self.positions, "<f4").tobytes()),
            colours=self.colours(),
            dimensions=self.projection.dimensions,
            source=self.pictures_path(),
            pictures=points.pictures is not None,
            animate=animate,
            keep=keep,
        )

    def colours(self) -> str:
        """URL of the points' colours."""
        points = self._open()
        if self.way == "time":
            colours = time_colours(points.stamps)
        elif self.way == "none":
            colours = plain_colours(len(points))
        else:
            colours = group_colours(self._groups, self.hidden)
        return self._published("colours", colours.tobytes())

    def pictures_path(self) -> str:
        """Path of the points' pictures."""
        points, source = self._open(), self.source
        assert source is not None
        return point_pictures(self._visit.studio).add(source.key, points)

    async def neighbours(self, index: int) -> Near:
        """The points nearest to one. Raises PerceptionError."""
        found: Near = await self._workers.run(
            "points.projection:neighbours", lane=LANE, source=self.source, index=index, count=NEIGHBOURS
        )
        return found

    async def cosine(self, first: int, second: int) -> float:
        """Of two points. Raises PerceptionError."""
        found: float = await self._workers.run(
            "points.projection:cosine", lane=LANE, source=self.source, first=first, second=second
        )
        return found

    async def add_words(self, texts: Sequence[str], tell: Tell) -> None:
        """Puts texts among the points. Raises PerceptionError where images and words share no space."""
        points, source = self._open(), self.source
        if self.words_refusal:
            raise SpaceError(self.words_refusal)
        new = [text for text in dict.fromkeys(texts) if text not in {word.text for word in self.words}]
        if len(self.words) + len(new) > MOST_WORDS:
            raise PerceptionError(f"at most {MOST_WORDS} texts fit into the picture; remove some")
        if not new:
            return
        vectors = await self._workers.run(
            "encoders.image_encoders:encode_words",
            lane="words",
            on_progress=tell,
            texts=new,
            model=points.model,
            space=points.space,
        )
        if source is not self.source:
            return
        self.words += [Word(text, vector, (0, 0, 0), []) for text, vector in zip(new, vectors, strict=True)]
        await self._place_words()

    def remove_word(self, text: str) -> None:
        """Takes a text out of the picture."""
        self.words = [word for word in self.words if word.text != text]

    def counts_by_label(self) -> list[tuple[str, int]]:
        """How many points of the lasso have each label, the most frequent first."""
        points = self._open()
        labels, counts = np.unique(points.labels[self.selection], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return [
            (str(points.classes[labels[row]]) if labels[row] >= 0 else "without a label", int(counts[row]))
            for row in order
        ]

    def _open(self) -> PointSet:
        if self.points is None:
            raise PerceptionError("nothing is shown yet; choose a source")
        return self.points

    async def _projected(self, source: Source, wanted: Projection, tell: Tell) -> tuple[FloatArray, str]:
        if wanted.method == "PCA":
            positions, shares = await self._workers.run(
                "points.projection:pca_positions", lane=LANE, source=source, dimensions=wanted.dimensions
            )
            return positions, _pca_caption(shares)
        self._running = asyncio.ensure_future(
            self._workers.run(
                "points.umap_projection:umap_positions",
                on_progress=tell,
                source=source,
                dimensions=wanted.dimensions,
                near=wanted.near,
                spread=wanted.spread,
            )
        )
        try:
            positions, fitted = await self._running
        finally:
            self._running = None
        caption = f"UMAP: near points are alike (n_neighbors {wanted.near}, min_dist {wanted.spread:g})"
        if fitted < len(positions):
            caption += f"; laid out from {fitted:,} points, the others beside their nearest"
        return positions, caption

    async def _place_words(self) -> None:
        words = self.words
        if not words:
            return
        places, near = await self._workers.run(
            "points.projection:place_words",
            lane=LANE,
            source=self.source,
            words=np.stack([word.vector for word in words]),
            dimensions=self.projection.dimensions,
            positions=None if self.projection.method == "PCA" else self.positions,
            count=NEIGHBOURS,
        )
        self.words = [
            Word(word.text, word.vector, [float(one) for one in place], found)
            for word, place, found in zip(words, places, near, strict=True)
        ]

    def _published(self, what: str, data: bytes) -> str:
        # The browser may still be fetching the one before; the one before that is of no use.
        if old := self._urls.pop(f"{what} before", ""):
            self._visit.studio.blobs.remove(old)
        if what in self._urls:
            self._urls[f"{what} before"] = self._urls[what]
        self._urls[what] = self._visit.publish(data)
        return self._urls[what]


def _pca_caption(shares: Sequence[float]) -> str:
    parts = " + ".join(f"{share:.0%}" for share in shares)
    return f"PCA: the {len(shares)} directions of largest variance ({parts} of it)"
