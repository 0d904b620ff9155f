"""ObjectStore: the things of the map; detections of all cameras become objects with lasting ids."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import PerceptionError, SpaceError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.objects.map_object import MapObject
from perception_contrast.mapping.objects.merging import are_one, survivor
from perception_contrast.mapping.objects.moved_objects import moved_pairs
from perception_contrast.mapping.objects.object_association import (
    Candidate,
    beside,
    best_match,
    candidates_of,
    same_thing,
)
from perception_contrast.mapping.objects.object_reports import ObjectChanges, Observation, UpdateReport
from perception_contrast.mapping.objects.object_settings import ObjectSettings
from perception_contrast.mapping.objects.object_state import object_of, record_of
from perception_contrast.mapping.objects.object_table import ObjectTable
from perception_contrast.mapping.objects.object_update import new_object, seen_again, unseen
from perception_contrast.mapping.objects.visibility import DepthView, Visibility

logger = logging.getLogger(__name__)

# Of what nobody takes; the oldest leave first.
_MOST_SIGHTINGS = 10_000
_MOST_TRACKS = 10_000
_BESIDE = 0.3  # metres between things that could be taken for one


class ObjectStore:
    """All objects of one map. One thread at a time may call it.

    Args:
        settings: What makes detections one object; None for the defaults.

    Attributes:
        evicted: Objects that left because there were too many.
        semantic_space: Of the vectors that are comparable with texts; "" until the first came.
        spatial_space: Of the image encoder's vectors.

    Example:
        >>> store = ObjectStore()
        >>> report = store.update(frame, lifted, submap=0)
        >>> [(one.label, one.position) for one in store.objects if one.status == "confirmed"]
    """

    def __init__(self, settings: ObjectSettings | None = None) -> None:
        self.settings = settings or ObjectSettings()
        self.evicted = 0
        self.semantic_space = self.spatial_space = ""
        self._next_id = 1
        self._objects: dict[int, MapObject] = {}
        self._table = ObjectTable()
        self._gone: set[int] = set()
        # Track ids are of one run of the tracker, so they are no part of the state.
        self._of_track: dict[str, int] = {}
        self._changed: set[int] = set()
        self._removed: set[int] = set()
        self._merged: dict[int, int] = {}
        self._sightings: deque[Observation] = deque(maxlen=_MOST_SIGHTINGS)

    def __len__(self) -> int:
        return len(self._objects)

    @property
    def objects(self) -> tuple[MapObject, ...]:
        """All objects, those that are gone too; oldest id first."""
        return tuple(self._objects[number] for number in sorted(self._objects))

    def by_id(self, number: int) -> MapObject | None:
        """The object of an id; None where there is none."""
        return self._objects.get(number)

    def scores(self, texts: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
        """How well each object fits texts.

        Args:
            texts: (t, c) float32 unit vectors of ``semantic_space``.

        Returns:
            Ids (n,), and cosines (t, n), 0 for an object without a vector.
        """
        return self._table.ids.copy(), self._table.scores(texts)

    def update(self, frame: MapFrame, lifted: Sequence[FloatArray], submap: int = 0) -> UpdateReport:
        """Takes one frame of one camera.

        Args:
            frame: With depth and pose; detections may be none, which still shows what is gone.
            lifted: For each detection its points (n, 3) in metres, map frame; empty where depth is missing.
            submap: Number of the submap in force.

        Returns:
            What the frame did.

        Raises:
            SpaceError: Its vectors are of another space than those of the objects.
            PerceptionError: There are not as many sets of points, or of vectors, as detections.
        """
        self._check(frame, lifted)
        view = DepthView(frame, self.settings)
        looks = self._looked_at(view)
        candidates = candidates_of(frame, lifted, self.settings)
        doubted = {number for number, look in looks.items() if look.through}
        groups, ids = self._associated(candidates, doubted, len(frame.detections))
        new = self._take_seen(frame, groups, looks, submap)
        gone = self._take_unseen(frame, [number for number in looks if number not in groups], looks)
        vacated = [self._objects[number].points for number in gone]
        merged = self._merge(groups)
        confirmed = self._confirm({merged.get(number, number) for number in groups})
        moved, renamed = self._reidentify(gone, {merged.get(number, number) for number in groups})
        merged = {old: renamed.get(now, now) for old, now in merged.items()} | renamed
        self._merged.update(merged)
        self._evict()
        return UpdateReport(
            tuple(merged.get(one, one) if one is not None else None for one in ids),
            tuple(sorted(new - set(merged))),
            tuple(sorted({merged.get(number, number) for number in groups} - new)),
            merged,
            tuple(number for number in gone if number not in moved),
            moved,
            tuple(renamed.get(number, number) for number in confirmed),
            np.concatenate(vacated) if vacated else np.zeros((0, 3), np.float32),
        )

    def move(self, moves: Mapping[int, RigidTransform]) -> None:
        """Moves the objects of some submaps.

        Args:
            moves: Number of a submap to new_map_from_old_map.
        """
        for one in list(self._objects.values()):
            transform = moves.get(one.submap)
            if transform is not None:
                self._put(replace(one, voxels=one.voxels.moved(transform, self.settings.voxel)))

    def forget(self, ids: Iterable[int]) -> tuple[int, ...]:
        """Removes objects with all that is known of them; their ids are not used again.

        Args:
            ids: Of objects; others are passed over.

        Returns:
            Those that were there.
        """
        known = tuple(number for number in dict.fromkeys(ids) if number in self._objects)
        for number in known:
            self._drop(number)
            self._removed.add(number)
        return known

    def take_changed(self) -> ObjectChanges:
        """What changed since the last call."""
        changes = ObjectChanges(
            tuple(self._objects[number] for number in sorted(self._changed)),
            tuple(sorted(self._removed)),
            dict(self._merged),
            tuple(self._sightings),
        )
        self._changed.clear()
        self._removed.clear()
        self._merged.clear()
        self._sightings.clear()
        return changes

    def state(self) -> dict[str, Any]:
        """All that has to be kept: numbers, texts, and ``objects`` as of ``record_of``."""
        return self.facts() | {"objects": [record_of(one) for one in self.objects]}

    def facts(self) -> dict[str, Any]:
        """The state without the objects: a few numbers and texts, however many objects there are."""
        return {
            "next_id": self._next_id,
            "evicted": self.evicted,
            "semantic_space": self.semantic_space,
            "spatial_space": self.spatial_space,
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any], settings: ObjectSettings | None = None) -> ObjectStore:
        """The store that ``state`` is of.

        Args:
            state: As ``state`` gave it.
            settings: From now on.

        Raises:
            PerceptionError: The state is damaged.
        """
        store = cls(settings)
        objects = [object_of(record) for record in state["objects"]]
        store._next_id = max([int(state["next_id"]), *(one.id + 1 for one in objects)])
        store.evicted = int(state["evicted"])
        store.semantic_space = str(state["semantic_space"])
        store.spatial_space = str(state["spatial_space"])
        for one in objects:
            store._put(one)
        store._changed.clear()
        return store

    def _check(self, frame: MapFrame, lifted: Sequence[FloatArray]) -> None:
        if len(lifted) != len(frame.detections) or len(frame.vectors) not in (0, len(frame.detections)):
            raise PerceptionError(
                f"{len(frame.detections)} detections came with {len(lifted)} sets of points and "
                f"{len(frame.vectors)} of vectors; give one of each for every detection"
            )
        if any(one.semantic is not None for one in frame.vectors):
            self.semantic_space = _same(self.semantic_space, frame.semantic_space)
        if any(one.spatial is not None for one in frame.vectors):
            self.spatial_space = _same(self.spatial_space, frame.spatial_space)

    def _looked_at(self, view: DepthView) -> dict[int, Visibility]:
        """What the depth says of each object that may be in view."""
        may_be = view.meeting(self._table.low, self._table.high)
        objects = [self._objects[int(number)] for number in self._table.ids[may_be]]
        objects = [one for one in objects if not one.gone]
        if not objects:
            return {}
        looks = view.look(np.concatenate([one.points for one in objects]))
        ends = np.cumsum([len(one.voxels) for one in objects])[:-1]
        parts = zip(*(np.split(part, ends) for part in looks), strict=True)
        return {one.id: view.judged(*part) for one, part in zip(objects, parts, strict=True)}

    def _associated(
        self, candidates: Sequence[Candidate], doubted: Collection[int], detections: int
    ) -> tuple[dict[int, list[Candidate]], list[int | None]]:
        """Object ids to their detections, new ids among them; and the id of each detection."""
        ids: list[int | None] = [None] * detections
        groups: dict[int, list[Candidate]] = {}
        for candidate in candidates:
            low, high = candidate.voxels.bounds()
            near = [self._objects[n] for n in self._table.meeting(low, high, self.settings.voxel)]
            tracked = self._of_track.get(candidate.track) if candidate.track else None
            number = best_match(candidate, near, tracked, doubted, self.settings)
            if number is None:
                number = self._same_in_frame(candidate, groups)
            if number is None:
                number, self._next_id = self._next_id, self._next_id + 1
            ids[candidate.index] = number
            groups.setdefault(number, []).append(candidate)
        return groups, ids

    def _same_in_frame(self, candidate: Candidate, groups: Mapping[int, list[Candidate]]) -> int | None:
        """Id of an object that this frame made, where the detection is another name of it."""
        for number, found in groups.items():
            if number not in self._objects and same_thing(candidate, found[0], self.settings):
                return number
        return None

    def _take_seen(
        self,
        frame: MapFrame,
        groups: Mapping[int, list[Candidate]],
        looks: Mapping[int, Visibility],
        submap: int,
    ) -> set[int]:
        new = set()
        apart = beside(groups, _BESIDE)
        for number, found in groups.items():
            known = self._objects.get(number)
            if known is None:
                new.add(number)
                one = new_object(number, found, frame, submap, self.settings)
            else:
                one = seen_again(known, found, frame, submap, looks.get(number), self.settings)
            self._put(replace(one, apart=one.apart | apart[number]))
            self._note(frame, one, found, known)
        return new

    def _note(
        self, frame: MapFrame, one: MapObject, found: Sequence[Candidate], known: MapObject | None
    ) -> None:
        """Keeps the sightings, and which tracks the object has."""
        best_view = known is None or one.thumbnail is not known.thumbnail
        for position, candidate in enumerate(found):
            detection = candidate.detection
            low, high = candidate.voxels.bounds()
            self._sightings.append(
                Observation(
                    one.id,
                    frame.stamp,
                    frame.camera_name,
                    detection.label,
                    detection.scores.probability,
                    detection.track_id,
                    frame.pose,
                    low,
                    high,
                    None if candidate.language is None else candidate.language.unit,
                    one.thumbnail.jpeg if best_view and position == 0 else b"",
                )
            )
            if candidate.track:
                self._of_track.pop(candidate.track, None)
                self._of_track[candidate.track] = one.id
        while len(self._of_track) > _MOST_TRACKS:
            del self._of_track[next(iter(self._of_track))]

    def _take_unseen(
        self, frame: MapFrame, numbers: Iterable[int], looks: Mapping[int, Visibility]
    ) -> list[int]:
        """Ids of those that are gone now."""
        gone = []
        for number in numbers:
            one = self._objects[number]
            others = self._table.some_vectors(number)
            after = unseen(one, frame, looks[number], others, self.settings)
            if after is not one:
                self._put(after)
            if after.gone:
                gone.append(number)
        return gone

    def _merge(self, numbers: Iterable[int]) -> dict[int, int]:
        """Makes one of objects that are one thing. Ids that are no more, to those that they are part of."""
        merged: dict[int, int] = {}
        waiting = list(numbers)
        while waiting:
            one = self._objects.get(waiting.pop())
            if one is None:
                continue
            for number in self._table.meeting(one.low, one.high, 0.0):
                other = self._objects[number]
                if number == one.id or other.gone or not are_one(one, other, self.settings):
                    continue
                kept, lost = survivor(one, other)
                self._drop(lost.id)
                self._put(kept.joined(lost))
                self._still_apart(lost, kept.id)
                merged = {old: kept.id if now == lost.id else now for old, now in merged.items()}
                merged[lost.id] = kept.id
                waiting.append(kept.id)
                break
        self._follow(merged)
        return merged

    def _still_apart(self, lost: MapObject, kept: int) -> None:
        """What was beside an object that is no more is beside the one that it is part of."""
        for number in lost.apart - {kept}:
            other = self._objects.get(number)
            if other is not None:
                self._put(replace(other, apart=(other.apart - {lost.id}) | {kept}))

    def _confirm(self, numbers: Iterable[int]) -> list[int]:
        done = []
        for number in sorted(numbers):
            one = self._objects[number]
            enough = one.sightings >= self.settings.confirm_sightings
            if not one.confirmed and enough and one.confidence >= self.settings.confirm_confidence:
                self._put(replace(one, confirmed=True))
                done.append(number)
        return done

    def _reidentify(self, gone: Sequence[int], seen: set[int]) -> tuple[tuple[int, ...], dict[int, int]]:
        """Ids of things that moved, and the ids that they had in their new place until now."""
        if gone:
            left = [self._objects[number] for number in gone]
            earliest = min(one.last_seen for one in left)
            elsewhere = [one for one in self._objects.values() if one.first_seen > earliest]
        else:
            elsewhere = [self._objects[number] for number in seen]
        elsewhere = [one for one in elsewhere if one.confirmed and not one.gone]
        if not elsewhere:
            return (), {}
        latest = max(one.first_seen for one in elsewhere)
        left = [one for one in map(self._objects.__getitem__, sorted(self._gone)) if one.last_seen < latest]
        renamed = {}
        for old, now in moved_pairs(left, elsewhere, self.settings):
            self._drop(now.id)
            self._put(old.in_place_of(now))
            renamed[now.id] = old.id
        self._follow(renamed)
        return tuple(sorted(renamed.values())), renamed

    def _evict(self) -> None:
        """The least valuable leave: what was never sure, then what is gone, then what is least sure."""
        excess = len(self._objects) - self.settings.max_objects
        if excess <= 0:
            return
        # Some more at once, so that a full store does not sort itself with every frame.
        excess += self.settings.max_objects // 64
        worth = {"unconfirmed": 0, "gone": 1, "confirmed": 2}
        order = sorted(
            self._objects.values(), key=lambda one: (worth[one.status], one.confidence, one.last_seen)
        )
        self.forget(one.id for one in order[:excess])
        if not self.evicted:
            logger.warning("the map is full with %d objects; the least sure leave", self.settings.max_objects)
        self.evicted += excess

    def _put(self, one: MapObject) -> None:
        self._objects[one.id] = one
        self._table.put(one)
        self._changed.add(one.id)
        if one.gone:
            self._gone.add(one.id)
        else:
            self._gone.discard(one.id)

    def _drop(self, number: int) -> None:
        del self._objects[number]
        self._table.remove(number)
        self._changed.discard(number)
        self._gone.discard(number)

    def _follow(self, renamed: Mapping[int, int]) -> None:
        """Lets tracks go on with the ids that their objects have now."""
        if renamed:
            self._of_track = {track: renamed.get(one, one) for track, one in self._of_track.items()}


def _same(known: str, given: str) -> str:
    if known and given != known:
        raise SpaceError(
            f"the objects of the map have vectors of {known}, the frame has some of {given}; load the models "
            "that the map was made with, or start another map"
        )
    return given
