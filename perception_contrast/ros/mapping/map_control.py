"""MapControl: the map of a node with all that changes it: frames, jumps, requests, files. Knows no topic."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from perception_contrast.core.arrays import Float64Array, FloatArray
from perception_contrast.core.counted import counted
from perception_contrast.core.errors import PerceptionError, QueryError
from perception_contrast.core.rigid_transform import PoseError, RigidTransform
from perception_contrast.mapping.answers.map_answer import MapAnswer
from perception_contrast.mapping.answers.map_query import FindFilters, MapQuery
from perception_contrast.mapping.geometry.open3d_library import open3d
from perception_contrast.mapping.grid.approach import Approach, ApproachPlanner, ApproachSettings
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.map_settings import MEGABYTE, MapSettings
from perception_contrast.mapping.objects.map_object import MapObject
from perception_contrast.mapping.poses.submaps import Submaps
from perception_contrast.mapping.semantic_map import IntegrationReport, SemanticMap, VoxelScores
from perception_contrast.mapping.storage.map_folder import MapInfo
from perception_contrast.memory.map_files import MapFiles, MapSummary
from perception_contrast.memory.sightings import Filters, Match, Sighting
from perception_contrast.ros.mapping.question_encoder import NoEncoderError, QuestionEncoder

logger = logging.getLogger(__name__)
_BANK_TIMEOUT = 60.0


@dataclass(frozen=True)
class RequestSettings:
    """Settings of requests, which may change at any time.

    Attributes:
        min_score: Probability from which ``find`` answers with a thing.
        distance: Metres between the robot's centre and the box that it approaches.
        clearance: Metres that the robot's centre keeps from obstacles.
    """

    min_score: float = 0.5
    distance: float = 0.6
    clearance: float = 0.22


class MapControl:
    """Any thread may call.

    Args:
        settings: Of the map.
        files: The maps on the disk.
        encoder: Words to vectors.
        robot: Gives the robot's place in the map; raises PoseError where it is not known.
        name_bank: Whether words are compared with generic names too.

    Attributes:
        map: The map; another one after a load.
        requests: Settings of requests.
        submaps: Periods that a jump moves.
        problem: Why words are answered without the generic names, or ""; for diagnostics.
    """

    def __init__(
        self,
        settings: MapSettings,
        files: MapFiles,
        encoder: QuestionEncoder,
        robot: Callable[[], RigidTransform],
        *,
        name_bank: bool = True,
    ) -> None:
        self._settings, self._files, self._encoder, self._robot = settings, files, encoder, robot
        # The first is held by who changes the map; the other, before it, by who changes which map is where.
        self._lock, self._storing = threading.RLock(), threading.RLock()
        if settings.surface_voxel > 0:
            # Before the surface asks for it: this process needs no torch.
            with suppress(PerceptionError):
                open3d(alone=True)
        self.map, self.submaps = SemanticMap(settings), Submaps()
        self.requests, self.problem = RequestSettings(), ""
        self._bank_wanted, self._bank_space = name_bank, ""

    # Frames.

    def process(self, frame: MapFrame, map_from_odom: RigidTransform | None) -> IntegrationReport | None:
        """Adds a frame to the map; what was seen before moves first where the localisation has jumped.

        Args:
            frame: With its pose in the map.
            map_from_odom: The localisation's correction at its stamp; None where there is no odometry.

        Returns:
            What it did; None for a frame that was left out because the localisation is jumping.

        Raises:
            SpaceError: The frame's vectors are of other models than the map's.
            FrameError: Its parts do not fit each other.
        """
        with self._lock:
            correction = map_from_odom or RigidTransform.identity()
            moves = self.submaps.observe(frame.stamp, correction, frame.pose.translation)
            if moves:
                logger.info("the localisation jumped: %s moved", counted(len(moves), "submap"))
                self.map.move(moves)
            if not self.submaps.settled:
                return None
            report = self.map.integrate(frame, self.submaps.number)
            self._files.note_frame(self.map, frame)
            return report

    def restart_submaps(self) -> None:
        """No jump moves what was seen until now: the localisation is told by something else from now on."""
        with self._lock:
            self.submaps = Submaps(first=self.submaps.number + 1)

    def write_changes(self) -> None:
        """Brings what changed to the disk, where the map has a name. Frames go on. Raises StorageError."""
        with self._files.lock:
            self._files.write_changes(self.map)

    # Requests.

    def query_of_words(self, text: str) -> MapQuery:
        """The question that words ask. Raises NoEncoderError, SpaceError, QueryError.

        A label of the map needs no encoder: where none answers, the label alone is asked for.
        """
        space = self.map.semantic_space
        try:
            vectors = self._encoder.encode([text], space=space).vectors
        except NoEncoderError:
            if any(
                text.casefold() == label.casefold() for one in self.map.objects.objects for label in one.votes
            ):
                return MapQuery(label=text)
            raise
        self._load_bank(space)
        return MapQuery(label=text, texts=vectors)

    def vector_of_words(self, text: str) -> tuple[FloatArray, str]:
        """(c,) unit vector of words and its space, the map's. Raises as ``query_of_words``."""
        encoded = self._encoder.encode([text], space=self.map.semantic_space)
        return encoded.vectors[0], encoded.space

    def similarities(self, texts: Sequence[str]) -> VoxelScores:
        """Cosines of the map's voxels with the best of some texts. Raises as ``query_of_words``."""
        vectors = self._encoder.encode(list(texts), space=self.map.semantic_space).vectors
        return self.map.similarities(vectors)

    def _load_bank(self, space: str) -> None:
        """The generic names of the map's space, once; without them words are answered less surely."""
        if not self._bank_wanted or not space or space == self._bank_space:
            return
        try:
            self.map.set_name_bank(self._encoder.name_bank(_BANK_TIMEOUT, space))
            self._bank_space, self.problem = space, ""
        except PerceptionError as error:
            self.problem = f"words are answered without generic names to compare with: {error}"

    def find(self, query: MapQuery, filters: FindFilters) -> MapAnswer:
        """Answers a question."""
        return self.map.find(query, filters)

    def recall(
        self,
        filters: Filters,
        question: tuple[FloatArray, str] | None = None,
        *,
        limit: int = 10,
        oldest_first: bool = False,
    ) -> list[Match[Sighting]]:
        """Sightings that the memory beside the map keeps.

        Args:
            filters: What must hold.
            question: (c,) unit vector and its space: what is most like it comes first. None for the newest
                first, with the confidences of the detections.
            limit: Most sightings.
            oldest_first: Without a question.

        Raises:
            QueryError: The map has no name, and so no memory.
            SpaceError: All that is remembered is of other spaces.
            RecallError: The memory is damaged.
        """
        # A load puts another memory in the place of this one.
        with self._lock:
            memory = self._files.memory
            if memory is None:
                raise QueryError(
                    "this map has no memory: map_node keeps one beside the map that its parameter `map` "
                    "names at start"
                )
            if question is not None:
                return memory.search_sightings(*question, filters, limit=limit)
            seen = memory.sightings(filters, limit=limit, oldest_first=oldest_first)
            return [Match(one, one.score) for one in seen]

    def saved_maps(self) -> tuple[list[MapInfo], str]:
        """What is known of the maps on the disk, by name, and the name of the one that is written."""
        folder = self._files.folder
        return [folder.info(name) for name in folder.names()], self._files.name

    def object_of(self, identity: str) -> MapObject:
        """The object of an id as ``~/find`` answered it. Raises QueryError."""
        found = self.map.object(int(identity)) if identity.isdecimal() else None
        if found is None:
            raise QueryError(f"the map has no object '{identity}'; ask ~/find for what there is")
        return found

    def approach(self, thing: MapObject, distance: float) -> Approach:
        """A pose that faces an object.

        Args:
            thing: Of the map.
            distance: Metres between the robot's centre and the box; 0 for the setting.

        Raises:
            QueryError: There is none, or the robot's place is not known; the message says why.
        """
        wanted = distance or self.requests.distance
        radius = self.requests.clearance
        planner = ApproachPlanner(ApproachSettings(radius=radius, near=wanted / 2, far=wanted * 2))
        try:
            robot = self._robot().translation
        except PoseError as error:
            raise QueryError(f"where the robot is, is not known: {error}") from error
        with self.map.lock:
            grid = self.map.grid.snapshot()
        box = thing.box
        return planner.plan(grid, (float(robot[0]), float(robot[1])), box.center, box.size, box.yaw)

    def save(self, name: str) -> MapSummary:
        """Writes the map under a name, "" for its own; frames go on. Raises MapError, StorageError."""
        with self._storing:
            return self._files.save(name, self.map)

    def load(self, name: str) -> MapSummary:
        """Replaces the map by a saved one; a refused one leaves it as it is. Raises MapError, SpaceError."""
        with self._storing, self._lock:
            loaded = self._files.load(name, self._settings, self.map, self._replace)
            return self._files.summary(loaded, name)

    def open_named(self, name: str) -> None:
        """Continues the map of a name, or begins it. Raises MapError, SpaceError, StorageError."""
        with self._storing, self._lock, self._files.lock:
            loaded = self._files.open(name, self._settings)
            if loaded is not None:
                self._replace(loaded)

    def _replace(self, loaded: SemanticMap) -> None:
        submaps = [one.submap for one in loaded.objects.objects]
        if loaded.voxels is not None and len(loaded.voxels):
            submaps.append(int(loaded.voxels.submap[loaded.voxels.live_rows()].max()))
        self.map, self._bank_space = loaded, ""
        # No jump of the present localisation moves what was loaded.
        self.submaps = Submaps(first=max(submaps, default=-1) + 1)

    def clear(self) -> None:
        """Forgets everything."""
        with self._storing:
            with self._lock:
                self.map.clear()
                self._bank_space = ""
            self._files.forget_all(self.map)

    def forget(
        self,
        identities: Sequence[str],
        label: str,
        box: tuple[Float64Array, Float64Array] | None,
        before: int,
    ) -> int:
        """Takes objects out of the map and the memory.

        Args:
            identities: Of objects.
            label: Of objects; "" for none.
            box: Lowest and highest corner in metres; all that lies in it is forgotten. None for no box.
            before: Nanoseconds; what was last seen before it. 0 for no time.

        Returns:
            How many objects were forgotten.

        Raises:
            QueryError: An id that is none.
        """
        with self._storing:
            with self._lock:
                numbers = {self.object_of(one.strip()).id for one in identities}
                for one in self.map.objects.objects:
                    if (label and one.label.casefold() == label.casefold()) or one.last_seen < before:
                        numbers.add(one.id)
                if box is not None:
                    numbers.update(self.map.forget_box(*box))
                self.map.forget(numbers)
            self._files.forget(self.map, numbers, *_remembered(label, box, before))
            return len(numbers)

    def figures(self) -> dict[str, str]:
        """Numbers of the map by name, for diagnostics."""
        own = self.map
        counts = Counter(one.status for one in own.objects.objects)
        figures = {
            f"map/objects/{status}": str(counts[status]) for status in ("confirmed", "unconfirmed", "gone")
        }
        figures["map/name"] = self._files.name
        if self._files.name:
            figures["map/snapshot_age_s"] = f"{self._files.snapshot_age:.0f}"
        figures["map/jumps"] = str(self.submaps.jumps)
        if own.voxels is not None and own.far is not None:
            figures["map/voxels"] = str(len(own.voxels))
            figures["map/voxels_mb"] = f"{own.voxels.bytes / MEGABYTE:.0f}"
            figures["map/far_rays"] = str(len(own.far))
        return figures

    def release(self) -> None:
        """Brings everything to the disk and forgets it."""
        with self._storing, self._lock:
            self._files.close(self.map)
            self.map, self.submaps, self._bank_space = SemanticMap(self._settings), Submaps(), ""

    def close(self) -> None:
        """Brings everything to the disk."""
        with self._storing, self._lock:
            self._files.close(self.map)


def _remembered(label: str, box: tuple[Float64Array, Float64Array] | None, before: int) -> list[Filters]:
    """What is forgotten of the memory beside the objects, each alone."""
    filters = []
    if label:
        filters.append(Filters(label=label))
    if box is not None:
        low, high = ((float(x), float(y), float(z)) for x, y, z in box)
        filters.append(Filters(low=low, high=high))
    if before > 0:
        filters.append(Filters(until=before - 1))
    return filters
