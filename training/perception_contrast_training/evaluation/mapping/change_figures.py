"""Figures of a second loop, before which some things were taken away and others stand elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.objects.object_reports import UpdateReport
from perception_contrast.mapping.objects.object_store import ObjectStore
from perception_contrast.mapping.objects.visibility import DepthView, PointState
from perception_contrast_training.evaluation.mapping.map_figures import NEAR
from perception_contrast_training.evaluation.mapping.room_truth import RoomTruth

IN_TIME = 3  # visible frames within which a thing that was taken away has to be gone
_VISIBLE_SHARE = 0.25  # of a thing's points; then its place is visible


@dataclass
class ChangeFigures:
    """Counts of one room, or of several added up.

    Attributes:
        removed: Things that left their place, had an object, and whose place was visible often enough.
        gone_in_time: Of them, those without an object there after IN_TIME visible frames.
        kept: Objects of things that stayed.
        kept_lost: Of them, those that were called gone at any time.
        moved: Things that had an object, stand elsewhere now, and were shown there.
        same_id: Of them, those whose object there has an id of before.
    """

    removed: int = 0
    gone_in_time: int = 0
    kept: int = 0
    kept_lost: int = 0
    moved: int = 0
    same_id: int = 0

    def __iadd__(self, other: ChangeFigures) -> ChangeFigures:
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def summary(self) -> dict[str, Any]:
        """The figures as docs/evaluate.md names them."""
        shares = {
            "gone_in_time_share": (self.gone_in_time, self.removed),
            "kept_lost_share": (self.kept_lost, self.kept),
            "same_id_share": (self.same_id, self.moved),
        }
        return {name: getattr(self, name) for name in _COUNTS} | {
            name: part / whole if whole else float("nan") for name, (part, whole) in shares.items()
        }


_COUNTS = ("removed", "gone_in_time", "kept", "kept_lost", "moved", "same_id")


class ChangeWatch:
    """Watches a map of objects through the second loop.

    Args:
        store: After the first loop.
        before: Truth of the first loop.
        removed: Numbers of the things that were taken away.
        moved: Numbers of those that stand elsewhere.
    """

    def __init__(
        self, store: ObjectStore, before: RoomTruth, removed: Collection[int], moved: Collection[int]
    ) -> None:
        self._store, self._before, self._moved = store, before, set(moved)
        self._ids: dict[int, set[int]] = {}
        for one in store.objects:
            if one.status == "confirmed":
                self._ids.setdefault(before.owner(one.voxels), set()).add(one.id)
        left = {*removed, *moved}
        self._waiting = {number: 0 for number in left if number in self._ids and number in before.shown}
        self._kept = {
            one for n, ids in self._ids.items() if n in before.shown and n not in left for one in ids
        }
        self._merged: dict[int, int] = {}
        self._figures = ChangeFigures(kept=len(self._kept))
        self._lost: set[int] = set()

    def after(self, frame: MapFrame, report: UpdateReport) -> None:
        """Takes what a frame did to the map."""
        self._merged.update(report.merged)
        self._lost |= self._kept & {*report.gone, *report.moved}
        view = DepthView(frame, self._store.settings)
        for number in list(self._waiting):
            states = view.states(self._before.things[number].voxels.centroids)
            seen = np.isin(states, (PointState.SEEN, PointState.BEHIND)).mean()
            if seen < _VISIBLE_SHARE:
                continue
            self._waiting[number] += 1
            gone = not any(self._still_there(one, number) for one in self._ids[number])
            if gone or self._waiting[number] >= IN_TIME:
                del self._waiting[number]
                self._figures.removed += 1
                self._figures.gone_in_time += gone

    def _still_there(self, number: int, thing: int) -> bool:
        one = self._store.by_id(self._now(number))
        if one is None or one.status == "gone":
            return False
        return self._before.things[thing].distance(one.position) <= NEAR

    def _now(self, number: int) -> int:
        while number in self._merged:
            number = self._merged[number]
        return number

    def figures(self, after: RoomTruth) -> ChangeFigures:
        """The figures at the end of the loop.

        Args:
            after: Truth of the second loop.
        """
        self._figures.kept_lost = len(self._lost)
        there = [one for one in self._store.objects if one.status != "gone"]
        owners = {one.id: after.owner(one.voxels) for one in there}
        for number in self._moved & set(after.shown) & set(self._ids):
            self._figures.moved += 1
            now = {self._now(one) for one in self._ids[number]}
            self._figures.same_id += any(owners.get(one) == number for one in now)
        return self._figures
