"""SemanticMap: posed frames in; surfaces, voxels with vectors, and objects that answer questions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Float64Array, FloatArray
from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.core.errors import FrameError, PerceptionError, SpaceError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.answers.find_answers import MapContents, find
from perception_contrast.mapping.answers.map_answer import MapAnswer
from perception_contrast.mapping.answers.map_query import FindFilters, MapQuery
from perception_contrast.mapping.answers.name_contrast import SAMPLE, NameContrast
from perception_contrast.mapping.geometry.depth_checks import usable
from perception_contrast.mapping.geometry.surface import Surface
from perception_contrast.mapping.grid.occupancy import OccupancyGrid
from perception_contrast.mapping.language.clearing import carve, clear_places, see_again
from perception_contrast.mapping.language.far_rays import FarRays
from perception_contrast.mapping.language.frame_pooling import PooledFrame, pool_frame
from perception_contrast.mapping.language.voxel_store import VoxelStore
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.map_settings import MapSettings, grid_settings, object_settings
from perception_contrast.mapping.objects.map_object import MapObject
from perception_contrast.mapping.objects.object_points import lift
from perception_contrast.mapping.objects.object_store import ObjectStore

logger = logging.getLogger(__name__)

# Cosine between the map's z and the mean of what is up for the cameras, below which z does not point up.
_LEAST_UP, _FRAMES_TO_KNOW_UP = 0.3, 5
_MEASURE_AGAIN = 1.25  # growth of the map after which the levels of names are measured anew


@dataclass(frozen=True)
class IntegrationReport:
    """What one frame changed in the map.

    Attributes:
        object_ids: The object that each detection of the frame was assigned to; None for no object.
        voxels: Number of voxels that the frame touched.
        milliseconds: Milliseconds by step.
    """

    object_ids: tuple[int | None, ...] = ()
    voxels: int = 0
    milliseconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class VoxelScores:
    """The similarity of each voxel to something.

    Attributes:
        rows: (n,) int64, rows of the voxels.
        positions: (n, 3) float32, centres of the voxels in metres in the map.
        scores: (n,) float32 cosines.
    """

    rows: NDArray[np.int64]
    positions: FloatArray
    scores: FloatArray


class SemanticMap:
    """A 3D map of posed frames that answers questions.

    Any thread may call any method; calls run one after the other.

    Args:
        settings: Sizes and limits; None for the defaults.

    Attributes:
        settings: Sizes and limits.
        objects: The objects with their labels, boxes and vectors.
        surface: The surface with colours; None if it is switched off or Open3D is not available.
        surface_problem: Why Open3D is not available, with the remedy; otherwise "".
        grid: Free, occupied and unknown ground.
        voxels: Voxels with features that are comparable with texts; None before the first features.
        far: Rays beyond the range of depth; None before the first features.
        semantic_space: Embedding space of the voxels' vectors; "" before the first.
        spatial_space: Embedding space of the objects' image vectors; "" before the first.
    """

    def __init__(self, settings: MapSettings | None = None) -> None:
        self.settings = settings or MapSettings()
        self._lock = threading.RLock()
        self._bank: FloatArray = np.zeros((0, 0), np.float32)
        self.clear()

    def clear(self) -> None:
        """Removes everything except the settings and the bank of generic names."""
        with self._lock:
            self.surface = self._new_surface()
            self._up, self._posed = np.zeros(3), 0
            self.objects = ObjectStore(object_settings(self.settings))
            self.grid = OccupancyGrid(grid_settings(self.settings))
            self.voxels: VoxelStore | None = None
            self.far: FarRays | None = None
            self.semantic_space = self.spatial_space = ""
            self._sizes: dict[str, int] = {}
            self._names: NameContrast | None = None
            self._measured = (0, 0)

    @property
    def frame_problem(self) -> str:
        """Why the grid and rotated boxes are wrong, with the remedy.

        It is "" if the map's z points up (REP 103).
        """
        if self._posed < _FRAMES_TO_KNOW_UP or self._up[2] / self._posed >= _LEAST_UP:
            return ""
        return (
            "the map's z does not point up, by how the cameras are held: the grid, poses to approach things, "
            "and the picture from above are wrong. Give poses in a frame as REP 103 asks, z up"
        )

    def _new_surface(self) -> Surface | None:
        """None where it is switched off, or where Open3D cannot be had: the rest of the map needs none."""
        self.surface_problem = ""
        if self.settings.surface_voxel <= 0:
            return None
        try:
            return Surface(self.settings.surface_voxel, max_range=self.settings.max_range)
        except PerceptionError as error:
            self.surface_problem = f"the map has no surface: {error}"
            logger.warning(self.surface_problem)
            return None

    @property
    def lock(self) -> threading.RLock:
        """A lock that is held while the map changes; hold it to read several parts at one moment."""
        return self._lock

    def set_name_bank(self, vectors: FloatArray) -> None:
        """Sets the generic names that words compete with.

        Args:
            vectors: (k, c) float32 unit vectors in the map's semantic space.
        """
        with self._lock:
            self._bank, self._names = np.asarray(vectors, np.float32), None

    def require_spaces(self, frame: MapFrame) -> None:
        """Checks that the vectors of a frame are of the map's spaces.

        Args:
            frame: The frame.

        Raises:
            SpaceError: The vectors are of other spaces or sizes than those of the map.
        """
        for given, own in (
            (frame.semantic_space, self.semantic_space),
            (frame.spatial_space, self.spatial_space),
        ):
            if given and own:
                require_same_space(given, own, "a frame for the map")
        self._require_sizes(frame)

    def _require_sizes(self, frame: MapFrame) -> None:
        """Raises SpaceError for vectors of other sizes than those of the map in the same space."""
        semantic = {len(one.semantic) for one in frame.vectors if one.semantic is not None}
        if frame.semantic is not None:
            semantic.add(frame.semantic.shape[2])
        spatial = {len(one.spatial) for one in frame.vectors if one.spatial is not None}
        for space, given in ((frame.semantic_space, semantic), (frame.spatial_space, spatial)):
            if given and space not in self._sizes:
                self._sizes |= self._stored_sizes()
            sizes = given | ({self._sizes[space]} if space in self._sizes else set())
            if len(sizes) > 1:
                raise SpaceError(
                    f"vectors of {' and of '.join(map(str, sorted(sizes)))} numbers are all said to be of "
                    f"'{space}'; see that every node serves the same model and weights"
                )
            if given:
                self._sizes[space] = given.pop()

    def _stored_sizes(self) -> dict[str, int]:
        """Space to the size of the map's vectors in it."""
        sizes = {} if self.voxels is None else {self.semantic_space: self.voxels.channels}
        for one in self.objects.objects:
            sizes |= {} if one.semantic is None else {self.semantic_space: len(one.semantic)}
            sizes |= {} if one.spatial is None else {self.spatial_space: len(one.spatial)}
        return sizes

    def integrate(self, frame: MapFrame, submap: int = 0) -> IntegrationReport:
        """Adds one frame.

        Args:
            frame: The frame with its pose in the map.
            submap: Number of the period that the frame belongs to.

        Returns:
            What the frame changed.

        Raises:
            SpaceError: The frame's vectors are of other spaces than the map's; the map stays as it was.
            FrameError: "size_mismatch" if depth and calibration are of different sizes.
        """
        if frame.depth.shape != (frame.camera.height, frame.camera.width):
            raise FrameError(
                "size_mismatch",
                f"depth of {frame.depth.shape[1]}x{frame.depth.shape[0]} does not match a calibration of "
                f"{frame.camera.width}x{frame.camera.height}; register the depth to the image",
            )
        # What is too near to be measured is none, for all layers.
        known = ~(frame.depth < self.settings.near)
        frame = replace(frame, depth=np.where(known, frame.depth, np.float32(np.nan)))
        with self._lock:
            self.require_spaces(frame)
            self.semantic_space = self.semantic_space or frame.semantic_space
            self.spatial_space = self.spatial_space or frame.spatial_space
            # The optical frame's y points down.
            self._up, self._posed = self._up - frame.pose.rotation[:, 1], self._posed + 1
            timings: dict[str, float] = {}
            began = perf_counter()
            pooled = self._integrate_features(frame, submap)
            timings["features"] = 1e3 * (perf_counter() - began)
            began = perf_counter()
            if self.voxels is not None:
                carve(self.voxels, frame, pooled, submap, self.settings.max_range)
            timings["carving"] = 1e3 * (perf_counter() - began)
            began = perf_counter()
            ids, vacated = self._integrate_objects(frame, submap)
            timings["objects"] = 1e3 * (perf_counter() - began)
            if len(vacated) and self.voxels is not None:
                clear_places(self.voxels, vacated, self.objects.settings.voxel)
                see_again(self.voxels, pooled, frame.stamp, submap)
            began = perf_counter()
            self.grid.integrate(frame, submap)
            timings["grid"] = 1e3 * (perf_counter() - began)
            if self.surface is not None:
                began = perf_counter()
                self.surface.integrate(frame, submap)
                timings["surface"] = 1e3 * (perf_counter() - began)
            return IntegrationReport(ids, 0 if pooled is None else len(pooled.keys), timings)

    def _integrate_features(self, frame: MapFrame, submap: int) -> PooledFrame | None:
        if frame.semantic is None:
            return None
        settings, channels = self.settings, frame.semantic.shape[2]
        if self.voxels is None or self.far is None:
            self.voxels = VoxelStore(channels, settings.voxel, max_bytes=settings.max_bytes)
            self.far = FarRays(channels)
        pooled = pool_frame(frame, settings.voxel, settings.max_range)
        self.voxels.add(pooled.keys, pooled.vectors, pooled.counts, frame.stamp, submap)
        self.far.add(pooled.far, frame.stamp, submap)
        return pooled

    def _integrate_objects(self, frame: MapFrame, submap: int) -> tuple[tuple[int | None, ...], FloatArray]:
        """Ids of the detections' objects, and points (n, 3) where things stood that are gone."""
        depth = np.where(
            usable(frame.depth, self.settings.near, self.settings.max_range), frame.depth, np.nan
        )
        lifted = [
            frame.pose.apply(lift(one, depth, frame.camera).astype(float)).astype(np.float32)
            for one in frame.detections
        ]
        report = self.objects.update(frame, lifted, submap)
        return tuple(report.object_ids), report.vacated

    def move(self, moves: Mapping[int, RigidTransform]) -> None:
        """Moves what was seen in some submaps, after a jump of the robot's pose in the map.

        Args:
            moves: Number of a submap to the transform from its old place in the map to its new one.
        """
        with self._lock:
            if self.voxels is not None:
                self.voxels.move(moves)
            if self.far is not None:
                self.far.move(moves)
            if self.surface is not None:
                self.surface.move(moves)
            self.objects.move(moves)
            self.grid.move(moves)

    def find(self, query: MapQuery, filters: FindFilters | None = None) -> MapAnswer:
        """Answers a question.

        Args:
            query: What to find; its vectors are of the map's spaces.
            filters: Which answers count; None for all.

        Returns:
            The answer, with the things that match.
        """
        with self._lock:
            contents = MapContents(self.objects.objects, self.voxels, self.far, self._name_levels())
            return find(query, filters or FindFilters(), contents)

    def _name_levels(self) -> NameContrast:
        """The levels of generic names, measured anew when the map has grown."""
        size = (0 if self.voxels is None else len(self.voxels), len(self.objects.objects))
        grown = any(new > _MEASURE_AGAIN * old for new, old in zip(size, self._measured, strict=True))
        if self._names is None or grown or size < self._measured:
            self._names = NameContrast.measured(self._bank, self._background(), self._object_vectors())
            self._measured = size
        return self._names

    def _background(self) -> FloatArray:
        if self.voxels is None or not len(self.voxels):
            return np.zeros((0, self._bank.shape[1]), np.float32)
        rows = self.voxels.live_rows()
        return self.voxels.vectors(rows[:: max(1, len(rows) // SAMPLE)])

    def _object_vectors(self) -> FloatArray:
        known = [one.semantic for one in self.objects.objects if one.semantic is not None]
        return np.stack(known).astype(np.float32) if known else np.zeros((0, self._bank.shape[1]), np.float32)

    def similarities(self, texts: FloatArray) -> VoxelScores:
        """Compares each voxel with texts.

        Args:
            texts: (p, c) float32 unit vectors in the map's semantic space.

        Returns:
            The highest cosine of each voxel with any of the texts; empty before the first features.
        """
        with self._lock:
            if self.voxels is None or not len(self.voxels):
                return VoxelScores(
                    np.zeros(0, np.int64), np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
                )
            rows = self.voxels.live_rows()
            scores = np.asarray(self.voxels.scores(texts).max(axis=0), np.float32)
            return VoxelScores(rows, self.voxels.positions(rows), scores)

    def object(self, number: int) -> MapObject | None:
        """Gives an object by its id.

        Args:
            number: The id.

        Returns:
            The object; None if there is none.
        """
        with self._lock:
            return self.objects.by_id(number)

    def forget(self, numbers: Iterable[int]) -> None:
        """Removes objects from the map, with the features at their places.

        Args:
            numbers: Ids of objects; unknown ones are ignored.
        """
        with self._lock:
            doomed = [one for number in set(numbers) if (one := self.objects.by_id(number)) is not None]
            self.objects.forget(one.id for one in doomed)
            if doomed and self.voxels is not None:
                points = np.concatenate([one.points for one in doomed])
                clear_places(self.voxels, points, self.objects.settings.voxel)

    def forget_box(self, low: Float64Array, high: Float64Array) -> list[int]:
        """Removes everything in a box: voxels, surface, and objects whose centre lies in it.

        Args:
            low: (3,) lowest corner in metres in the map.
            high: (3,) highest corner in metres in the map.

        Returns:
            The ids of the removed objects.
        """
        with self._lock:
            inside = [
                one.id
                for one in self.objects.objects
                if bool(((one.box.center >= low) & (one.box.center <= high)).all())
            ]
            self.objects.forget(inside)
            if self.voxels is not None:
                self.voxels.forget_box(low, high)
            if self.far is not None:
                self.far.forget_box(low, high)
            if self.surface is not None:
                self.surface.forget_box(low, high)
            self.grid.forget_box(low, high)
            return inside
