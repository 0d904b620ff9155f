"""Which frames of a robot show the same, and which may stand against each other in a contrastive loss.

Positives: frames a moment apart in one camera (as time-contrastive networks, Sermanet et al., 2018), of
two cameras at one moment, and of one place from another pose, where poses are known. Negatives: any two
frames that are neither near in time nor in place; a frame a few seconds on is no other thing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.bags.options import NANOSECONDS
from perception_contrast_training.data.datasets.frame_table import Flags, Frames, Indices
from perception_contrast_training.data.datasets.samples import Sample
from perception_contrast_training.data.datasets.shards import ShardDataset
from perception_contrast_training.engine.negative_mask import may_be_negatives


@dataclass(frozen=True)
class PairRules:
    """Times in seconds, distances in metres, angles in degrees; 0 turns a kind of positives off.

    temporal: between two frames of one camera. cross_camera: between frames of two cameras of one
    recording. place_distance, place_angle: between the poses of two views of one place, and between their
    viewing directions. negative_time: least time between negatives of one recording; negative_distance:
    least distance of their cameras, where both poses are known.
    """

    temporal: float = 1.0
    cross_camera: float = 0.05
    place_distance: float = 0.5
    place_angle: float = 30.0
    negative_time: float = 10.0
    negative_distance: float = 2.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (0 <= value < float("inf")):
                raise PerceptionError(f"{name} {value} of the pairs must be 0 or more")
        in_time = max(self.temporal, self.cross_camera)
        if in_time > self.negative_time or self.place_distance > self.negative_distance:
            raise PerceptionError(
                "positives must be nearer than negatives: temporal and cross_camera at most negative_time, "
                "place_distance at most negative_distance"
            )


class PairFinder:
    """Positives of each frame, found by sorted times and a tree of positions; memory grows with n alone."""

    def __init__(self, frames: Frames, rules: PairRules | None = None) -> None:
        self.frames, self.rules = frames, rules or PairRules()
        self._of_source = {
            int(one): _by_time(frames, frames.sources == one) for one in np.unique(frames.sources)
        }
        self._known = frames.known
        self._trees = {}
        for world in np.unique(frames.worlds[self._known]):
            members = np.nonzero(self._known & (frames.worlds == world))[0]
            self._trees[int(world)] = (members, cKDTree(frames.positions[members]))
        self.where = frames.where(self.rules.negative_time, self.rules.negative_distance)

    def positives(self, index: int) -> Indices:
        """Sorted numbers of all frames that show the same as one, without itself."""
        kinds = (self.temporal(index), self.across_cameras(index), self.same_place(index))
        found = np.unique(np.concatenate(kinds))
        others: Indices = found[found != index]
        return others

    def temporal(self, index: int) -> Indices:
        near = self._near_in_time(index, self.rules.temporal)
        own = self.frames.cameras[near] == self.frames.cameras[index]
        found: Indices = near[own & (near != index)]
        return found

    def across_cameras(self, index: int) -> Indices:
        near = self._near_in_time(index, self.rules.cross_camera)
        found: Indices = near[self.frames.cameras[near] != self.frames.cameras[index]]
        return found

    def same_place(self, index: int) -> Indices:
        """Frames whose camera stood within ``place_distance`` and looked within ``place_angle``."""
        frames, rules = self.frames, self.rules
        if not rules.place_distance or not self._known[index]:
            return np.zeros(0, np.int64)
        members, tree = self._trees[int(frames.worlds[index])]
        near = members[tree.query_ball_point(frames.positions[index], rules.place_distance)]
        cosines = frames.directions[near] @ frames.directions[index]
        alike = cosines >= np.cos(np.radians(rules.place_angle)) - 1e-12
        found: Indices = near[alike & (near != index)]
        return found

    def _near_in_time(self, index: int, seconds: float) -> Indices:
        if not seconds:
            return np.zeros(0, np.int64)
        order, stamps = self._of_source[int(self.frames.sources[index])]
        stamp, reach = self.frames.stamps[index], round(seconds * NANOSECONDS)
        first, last = np.searchsorted(stamps, [stamp - reach, stamp + reach + 1])
        found: Indices = order[first:last]
        return found

    def may_be_negatives(self, one: Indices, other: Indices) -> Flags:
        """(len(one), len(other)) bool: whether two frames may stand against each other in a loss.

        Never a frame and itself, nor frames of one recording within ``negative_time``, nor frames whose
        cameras were within ``negative_distance``, whatever the time or the recording.
        """
        where = self.where
        return may_be_negatives(where[torch.from_numpy(one)], where[torch.from_numpy(other)]).numpy()


def _by_time(frames: Frames, chosen: Flags) -> tuple[Indices, Indices]:
    members = np.nonzero(chosen)[0]
    order = members[np.argsort(frames.stamps[members], kind="stable")]
    return order, frames.stamps[order]


Pair = tuple[int, int]


class PairSampler:
    """Batches of (anchor, positive) for a DataLoader's ``batch_sampler``, the same for the same seed.

    Each frame with a positive is an anchor once an epoch. Anchors of a batch, of all ranks together, are
    chosen so that all its frames may be negatives of each other as far as the data allows; where it does
    not, the batch is filled in drawn order, and ``negative_mask`` tells the loss what to leave out.
    rank, ranks: this process's share of each batch of ``batch`` pairs. The last, smaller batch is dropped.
    ``state`` and ``restore`` go on behind the last batch given. Raises PerceptionError.
    """

    def __init__(
        self,
        finder: PairFinder,
        batch: int,
        *,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
        look_ahead: int = 8,
    ) -> None:
        if batch < 2 or batch % ranks:
            raise PerceptionError(
                f"a batch of {batch} pairs must be 2 or more and a multiple of {ranks} processes"
            )
        self._finder, self._batch, self._seed = finder, batch, seed
        self._rank, self._ranks, self._look_ahead = rank, ranks, look_ahead
        self.anchors = np.array([i for i in range(len(finder.frames)) if len(finder.positives(i))], np.int64)
        if len(self.anchors) < batch:
            raise PerceptionError(
                f"{len(self.anchors)} of {len(finder.frames)} frames have a positive, too few for a batch of "
                f"{batch}; extract with a smaller --every, or widen temporal or place_distance"
            )
        self.epoch, self._given = 0, 0

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self.anchors) // self._batch

    def __iter__(self) -> Any:
        """The rest of this epoch; the next call begins the next one."""
        start = self._given
        for number, pairs in enumerate(self._batches(self.epoch)):
            if number < start:
                continue
            self._given = number + 1
            yield pairs[self._rank :: self._ranks]
        self.epoch, self._given = self.epoch + 1, 0

    def state(self) -> dict[str, int]:
        return {"seed": self._seed, "epoch": self.epoch, "given": self._given, "batch": self._batch}

    def restore(self, state: dict[str, int]) -> None:
        """Goes on where ``state`` was taken. Raises PerceptionError if it was another sampler's."""
        if (state["seed"], state["batch"]) != (self._seed, self._batch):
            raise PerceptionError(
                f"the sampler's state is of seed {state['seed']} and batch {state['batch']}, not of "
                f"{self._seed} and {self._batch}"
            )
        self.epoch, self._given = state["epoch"], state["given"]

    def _batches(self, epoch: int) -> Any:
        rng = np.random.default_rng([self._seed, epoch])
        waiting: list[Pair] = []
        for anchor in rng.permutation(self.anchors):
            near = self._finder.positives(int(anchor))
            waiting.append((int(anchor), int(near[rng.integers(len(near))])))
        while len(waiting) >= self._batch:
            chosen = self._compatible(waiting)
            taken = set(chosen)
            yield [waiting[index] for index in chosen]
            waiting = [pair for index, pair in enumerate(waiting) if index not in taken]

    def _compatible(self, waiting: list[Pair]) -> list[int]:
        """Numbers of the pairs of the next batch: those that fit, then the first ones that do not."""
        considered = np.array(waiting[: self._batch * self._look_ahead], np.int64)
        allowed = np.ones(len(considered), bool)
        chosen: list[int] = []
        for index in range(len(considered)):
            if not allowed[index]:
                continue
            chosen.append(index)
            if len(chosen) == self._batch:
                return chosen
            for own in considered[index]:
                for column in (0, 1):
                    allowed &= self._finder.may_be_negatives(own[None], considered[:, column])[0]
        fitting = set(chosen)
        rest = [index for index in range(len(considered)) if index not in fitting]
        return sorted(chosen + rest[: self._batch - len(chosen)])


def negative_mask(finder: PairFinder, frames: Tensor) -> Tensor:
    """(n, n) bool for frame numbers (n,): true where row and column may be negatives of each other.

    For a batch of pairs give ``cat([first, second])``, of all processes, in the order of the embeddings.
    """
    indices = frames.cpu().numpy().astype(np.int64)
    return torch.from_numpy(finder.may_be_negatives(indices, indices)).to(frames.device)


class PairSample(TypedDict):
    """Two views of one thing: samples of the dataset."""

    first: Sample
    second: Sample


class PairDataset:
    """The samples of the pairs that a ``PairSampler`` names."""

    def __init__(self, frames: ShardDataset) -> None:
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, pair: Pair) -> PairSample:
        return PairSample(first=self.frames[pair[0]], second=self.frames[pair[1]])
