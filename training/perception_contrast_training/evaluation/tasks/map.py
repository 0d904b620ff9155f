"""The 3D map: what a loop through a room finds and can be approached, and what a second one finds changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from perception_contrast.core.arrays import FloatArray, RgbImage
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.vocabulary import Query
from perception_contrast.mapping.grid.occupancy import OccupancyGrid
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.mapping.objects.object_points import lift
from perception_contrast.mapping.objects.object_reports import UpdateReport
from perception_contrast.mapping.objects.object_store import ObjectStore
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast_sim.objects.catalogue import catalogue
from perception_contrast_sim.render.scene_builder import STRUCTURE
from perception_contrast_sim.rooms.household import Household
from perception_contrast_training.cli.eval_options import Job, household_of, pipeline_of
from perception_contrast_training.evaluation.mapping.approach_figures import (
    ApproachFigures,
    approach_figures,
)
from perception_contrast_training.evaluation.mapping.change_figures import ChangeFigures, ChangeWatch
from perception_contrast_training.evaluation.mapping.frame_eyes import FrameEyes
from perception_contrast_training.evaluation.mapping.loop import LoopFrame, loop
from perception_contrast_training.evaluation.mapping.map_figures import (
    RoomFigures,
    RoomQuestions,
    room_figures,
)
from perception_contrast_training.evaluation.mapping.room_truth import RoomTruth, present_names
from perception_contrast_training.evaluation.mapping.top_view import top_view
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.evaluation.report import Outcome, Table
from perception_contrast_training.household.questions import LEAST_SHARE
from perception_contrast_training.household.words import Words

OURS, TRUE_MASKS = "detections", "true_masks"
# Weak detections count: votes over many frames beat a high threshold.
VOTE_THRESHOLD = 0.2
REMOVED, MOVED = 4, 5  # things of a room between the loops
FIXED = ("door", "window")  # nobody takes them away
LEAST_FRAMES = 3  # that show a thing which is then taken away or moved
FRAMES_PER_SUBMAP = 4


@dataclass
class _Map:
    """One way of seeing, and what came of it in all rooms."""

    found: RoomFigures = field(default_factory=RoomFigures)
    changed: ChangeFigures = field(default_factory=ChangeFigures)

    def summary(self) -> dict[str, Any]:
        return self.found.summary() | self.changed.summary()


def map_rooms(job: Job) -> Outcome:
    """Two loops through each room. Raises PerceptionError, among others for other data than the household."""
    options = job.options
    household = household_of(options)
    if household is None:
        raise PerceptionError(
            f"'{options.data}' has no true poses and things; give household[:FRAMES] for task map"
        )
    maps = {OURS: _Map(), TRUE_MASKS: _Map()}
    pipeline, rows = pipeline_of(job), []
    images: dict[str, RgbImage] = {}
    pipeline.configure(replace(pipeline.settings, detection_threshold=VOTE_THRESHOLD))
    approached, ways = ApproachFigures(), []
    for seed in range(options.seed, options.seed + options.rooms):
        room = _Room(pipeline, seed, household.scenes, seen=options.seen, offline=options.offline)
        try:
            room.ask(options.absent)
            measured = room.measure()
        finally:
            room.close()
        for name, (found, changed) in measured.items():
            rows.append((f"{seed} {name}", *_cells(found, changed)))
            maps[name].found += found
            maps[name].changed += changed
        approached += room.approach
        ways.append((str(seed), *_approach_cells(room.approach)))
        images |= {f"room_{seed}_{name}.png": picture for name, picture in room.pictures.items()}
    rows += [(f"all {name}", *_cells(one.found, one.changed)) for name, one in maps.items()]
    ways.append(("all", *_approach_cells(approached)))
    figures = {name: one.summary() for name, one in maps.items()} | {"approach": approached.summary()}
    tables = [
        Table("Objects of the map", _HEADINGS, rows),
        Table("Poses to approach things", ("room", "things", "approached", "touching", "why not"), ways),
    ]
    return Outcome(figures, tables, images)


def _approach_cells(figures: ApproachFigures) -> tuple[int | str, ...]:
    reasons = ", ".join(f"{count} {reason}" for reason, count in figures.reasons.most_common())
    return figures.things, figures.approached, figures.touching, reasons


_HEADINGS = (
    "room", "located", "of", "AUC", "AUC vectors", "objects", "double", "on walls", "absent found", "gone",
    "of ", "lost", "of  ", "same id", "of   ",
)  # fmt: skip


def _cells(found: RoomFigures, changed: ChangeFigures) -> tuple[float | int, ...]:
    every = found.summary()
    return (
        found.located, found.present, every["auc"], every["auc_vectors"], found.objects, found.duplicates,
        found.on_structure, found.absent_found, changed.gone_in_time, changed.removed, changed.kept_lost,
        changed.kept, changed.same_id, changed.moved,
    )  # fmt: skip


class _Room:
    """One room, the pipeline that looks at it, and a map for each way of seeing."""

    def __init__(self, pipeline: Pipeline, seed: int, frames: int, *, seen: bool, offline: bool) -> None:
        self._pipeline, self._seed, self._frames = pipeline, seed, frames
        self._house = Household(seed, unseen=not seen, offline=offline)
        self._words = Words(held_out=True, unseen=True)
        self._rng = np.random.default_rng(seed)
        self._stores = {OURS: ObjectStore(), TRUE_MASKS: ObjectStore()}
        self._grid = OccupancyGrid()
        self._absent: list[str] = []
        self.approach = ApproachFigures()
        self.pictures: dict[str, RgbImage] = {}

    def ask(self, absent: int) -> None:
        """Queries all categories of the room, and so many names of nothing that is in it."""
        objects = self._house.objects.items()
        there = sorted({thing.category for number, thing in objects if number >= len(STRUCTURE)})
        others = [
            kind.name
            for kind in catalogue()
            if not kind.held_out and not any(self._words.may_mean(kind.name, name) for name in there)
        ]
        self._absent = sorted(str(n) for n in self._rng.permutation(others)[:absent])
        self._pipeline.set_queries([Query(name) for name in (*there, *self._absent)])

    def measure(self) -> dict[str, tuple[RoomFigures, ChangeFigures]]:
        """Both loops."""
        before = RoomTruth(self._house.objects, LEAST_SHARE)
        for _ in self._looks(before, turn=0):
            pass
        self.approach = approach_figures(self._grid.snapshot(), before)
        found = {name: self._figures(name, store, before) for name, store in self._stores.items()}
        removed, moved = self._change(before)
        watches = {name: ChangeWatch(store, before, removed, moved) for name, store in self._stores.items()}
        after = RoomTruth(self._house.objects, LEAST_SHARE)
        for name, frame, report in self._looks(after, turn=1):
            watches[name].after(frame, report)
        return {name: (found[name], watch.figures(after)) for name, watch in watches.items()}

    def _looks(self, truth: RoomTruth, turn: int) -> Iterator[tuple[str, MapFrame, UpdateReport]]:
        """One loop into all maps: which map, the frame that it took, and what that did."""
        eyes = FrameEyes(self._pipeline, self._house.objects)
        frames: Iterator[LoopFrame] = loop(self._house, self._frames, turn)
        for number, seen in enumerate(tracked(frames, f"room {self._seed}, loop {turn + 1}", self._frames)):
            truth.add(seen.frame, seen.instances)
            submap = (turn * self._frames + number) // FRAMES_PER_SUBMAP
            self._grid.integrate(seen.frame, submap)
            for name, frame in zip((OURS, TRUE_MASKS), eyes.look(seen), strict=True):
                yield name, frame, self._stores[name].update(frame, _lifted(frame), submap)

    def _figures(self, name: str, store: ObjectStore, truth: RoomTruth) -> RoomFigures:
        present = present_names(truth, self._words.may_mean)
        embed = self._pipeline.query_encoder.embed_texts
        texts = {asked: embed([asked]) for asked in (*present, *self._absent)}
        means = {asked: set(numbers) for asked, numbers in present.items()}
        self.pictures[name] = top_view(store, truth, means)
        return room_figures(store, truth, RoomQuestions(present, self._absent, texts))

    def _change(self, truth: RoomTruth) -> tuple[Collection[int], Collection[int]]:
        """Takes some things away and places others elsewhere, of those that nothing stands on."""
        below = {thing.on for thing in self._house.objects.values()}
        free = [
            number
            for number, thing in truth.shown.items()
            if number not in below and thing.name not in FIXED and len(thing.frames) >= LEAST_FRAMES
        ]
        chosen = [int(number) for number in self._rng.permutation(free)]
        removed = self._house.remove(chosen[:REMOVED])
        return removed, self._house.move(chosen[REMOVED : REMOVED + MOVED])

    def close(self) -> None:
        """Frees the renderer."""
        self._house.close()


def _lifted(frame: MapFrame) -> Sequence[FloatArray]:
    """Points of the detections in the map."""
    seen = [lift(detection, frame.depth, frame.camera) for detection in frame.detections]
    return [frame.pose.apply(points.astype(np.float64)).astype(np.float32) for points in seen]
