"""Parts of a dataset to fit on and to test on, by recording, place or time, with a guard between them.

Two frames a moment or a step apart show the same. So whole recordings, places or stretches of time go
into one part, and frames that are still too near to another part's are put into none ("unused").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.data.bags.options import NANOSECONDS
from perception_contrast_training.data.bags.transforms import WORLD_FRAMES
from perception_contrast_training.data.datasets.folder_classes import AUTO
from perception_contrast_training.data.datasets.manifest import SPLIT, write_table
from perception_contrast_training.data.datasets.subset import image_names

if TYPE_CHECKING:
    from perception_contrast_training.data.datasets.shards import ShardDataset

UNUSED = "unused"
_GUARD_TIME = 2.0  # seconds, between the parts of a dataset
WAYS = ("bag", "place", "time")
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class SplitOptions:
    """by: "bag", "place" (cells of ``cell`` metres) or "time" (stretches with ``gap`` seconds between).

    "" for what suits the data, which is "bag" for a dataset. shares: of the frames, by part. guard_time:
    seconds, None for 2 in a dataset; guard_distance: metres (only where poses are known, and only by place)
    that frames of two parts are at least apart.
    """

    by: str = ""
    shares: tuple[tuple[str, float], ...] = (("train", 0.8), ("val", 0.1), ("test", 0.1))
    cell: float = 1.0
    gap: float = 30.0
    guard_time: float | None = None
    guard_distance: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in ("", *WAYS):
            raise PerceptionError(f"--by {self.by} is none of {', '.join(WAYS)}")
        names = [name for name, _ in self.shares]
        if len(names) < 2 or len(set(names)) < len(names) or UNUSED in names:
            raise PerceptionError("--parts needs two names or more, each once, such as train=0.8,val=0.2")
        if any(not share > 0 for _, share in self.shares):
            raise PerceptionError("each share of --parts must be over 0")
        if not math.isclose(sum(share for _, share in self.shares), 1.0, abs_tol=0.01):
            said = ",".join(f"{name}={share:g}" for name, share in self.shares)
            raise PerceptionError(f"--parts {said} must add up to 1")
        if not (self.cell > 0 and self.gap >= 0 and (self.guard_time or 0) >= 0 and self.guard_distance >= 0):
            raise PerceptionError("--cell must be over 0; --gap and the guards must be 0 or more")


@dataclass(frozen=True)
class Placed:
    """stamps: (n,) nanoseconds. sources: (n,) recordings. positions: (n, 3) metres, NaN for none.
    parents: (n,) number of the frame that the position is told in.
    """

    stamps: Labels
    sources: Labels
    positions: NDArray[np.float64]
    parents: Labels


def split(dataset: Path, options: SplitOptions, *, classes: str = AUTO) -> dict[str, int]:
    """Writes the part of each frame of a dataset or a folder of images; gives their numbers.

    classes: rule of ``folder_classes.RULES``, for a folder. Raises PerceptionError; nothing is written then.
    """
    from perception_contrast_training.data.curation.every_frame import every_frame, require_folder
    from perception_contrast_training.data.curation.folder_splits import split_folder
    from perception_contrast_training.data.datasets.folders import FolderDataset

    frames = every_frame(dataset, classes=classes)
    require_folder(dataset, "split")
    if isinstance(frames, FolderDataset):
        parts, options = split_folder(frames, options)
    else:
        guard = _GUARD_TIME if options.guard_time is None else options.guard_time
        options = replace(options, by=options.by or "bag", guard_time=guard)
        parts = split_frames(placed(frames), options)
    table = pa.table({"key": image_names(frames), "part": parts})
    facts = {"by": options.by, "seed": str(options.seed), "guard_time": str(options.guard_time)}
    write_table(dataset / SPLIT, table, facts | {"guard_distance": str(options.guard_distance)})
    return {name: parts.count(name) for name in (*dict(options.shares), UNUSED)}


def placed(frames: ShardDataset) -> Placed:
    """When and where each frame was seen. Frames of odometry mean something in their own recording only."""
    parents = frames.rows["pose_parent"].to_pylist()
    own = [
        (parent, -1 if parent in WORLD_FRAMES else source)
        for parent, source in zip(parents, frames.groups.tolist(), strict=True)
    ]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(own))}
    return Placed(
        frames.stamps.astype(np.int64),
        frames.groups.astype(np.int64),
        frames.poses[:, :3],
        np.array([numbers[one] for one in own], np.int64).reshape(len(own)),
    )


def split_frames(frames: Placed, options: SplitOptions) -> list[str]:
    """The part of each frame, "unused" for those within a guard. Raises PerceptionError for too few.

    options: with ``by`` and ``guard_time`` chosen.
    """
    names = [name for name, _ in options.shares]
    units = _units(frames, options)
    count = len(np.unique(units))
    if count < len(names):
        raise PerceptionError(_too_few(options, count))
    parts = _assigned(units, [share for _, share in options.shares], options)
    parts = _guarded(frames, parts, options)
    for number, name in enumerate(names):
        if not (parts == number).any():
            raise PerceptionError(
                f"part '{name}' would be empty: all its frames are within the guard of another part; lower "
                "--guard-time or --guard-distance, or split by something else"
            )
    return [UNUSED if part < 0 else names[part] for part in parts]


def _too_few(options: SplitOptions, count: int) -> str:
    kind = {"bag": "recording(s)", "place": "place(s)", "time": "frame(s)"}[options.by]
    other = {"bag": "--by time or --by place", "place": "a smaller --cell, or --by time", "time": "more data"}
    return f"{count} {kind} cannot make {len(options.shares)} parts; try {other[options.by]}"


def _units(frames: Placed, options: SplitOptions) -> Labels:
    """What must not be torn apart, as numbers; by time in the order of time."""
    if options.by == "bag":
        return frames.sources
    if options.by == "place":
        return _cells(frames, options.cell)
    order = np.lexsort((frames.stamps, frames.sources))
    sources, stamps = frames.sources[order], frames.stamps[order]
    breaks = (np.diff(sources) != 0) | (np.abs(np.diff(stamps)) >= options.gap * NANOSECONDS)
    units = np.empty(len(order), np.int64)
    units[order] = np.concatenate([[0], np.cumsum(breaks)]) if len(order) else []
    if len(np.unique(units)) >= 2 * len(options.shares):
        return units
    # Too few stretches: time itself is cut, in as many pieces as there are frames.
    units[order] = np.arange(len(order))
    return units


def _cells(frames: Placed, side: float) -> Labels:
    known = np.isfinite(frames.positions).all(axis=1)
    if not known.all():
        count = int(np.count_nonzero(~known))
        raise PerceptionError(
            f"{count} of {len(frames.stamps)} frames have no pose, so no place; split by bag or time"
        )
    cells = np.floor(frames.positions / side).astype(np.int64)
    _, units = np.unique(np.column_stack([frames.parents, cells]), axis=0, return_inverse=True)
    return np.asarray(units, np.int64).reshape(-1)


def _assigned(units: Labels, shares: Sequence[float], options: SplitOptions) -> Labels:
    """The part of each frame: units in a drawn order go where most is missing; time is cut in its order."""
    numbers, inverse, sizes = np.unique(units, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    wanted = np.array(shares) / sum(shares) * len(units)
    if options.by == "time" and len(numbers) == len(units):
        ends = np.cumsum(wanted)
        return np.searchsorted(ends[:-1], units, side="right").astype(np.int64)
    order = np.random.default_rng(options.seed).permutation(len(numbers))
    # Every part gets one unit first: the smallest ones to the smallest parts.
    by_size = order[np.argsort(sizes[order], kind="stable")]
    part_of = np.full(len(numbers), -1, np.int64)
    have = np.zeros(len(shares))
    for part, unit in zip(np.argsort(wanted, kind="stable"), by_size, strict=False):
        part_of[unit], have[part] = part, sizes[unit]
    for unit in order:
        if part_of[unit] < 0:
            part = int(np.argmax(wanted - have))
            part_of[unit] = part
            have[part] += sizes[unit]
    return part_of[inverse]


def _guarded(frames: Placed, parts: Labels, options: SplitOptions) -> Labels:
    """-1 for frames too near to those of a smaller part: the largest part gives way first."""
    result = parts.copy()
    sizes = np.bincount(parts, minlength=len(options.shares))
    for part in np.argsort(-sizes, kind="stable"):
        mine, others = result == part, (result >= 0) & (result != part)
        near = _near_in_time(frames, mine, others, options.guard_time or 0.0)
        if options.by == "place":
            near |= _near_in_space(frames, mine, others, options.guard_distance)
        result[near] = -1
    return result


def _near_in_time(
    frames: Placed, mine: NDArray[np.bool_], others: NDArray[np.bool_], guard: float
) -> NDArray[np.bool_]:
    """Frames of ``mine`` less than the guard from one of ``others`` in the same recording."""
    near = np.zeros(len(mine), bool)
    for source in np.unique(frames.sources):
        here = frames.sources == source
        stamps = np.sort(frames.stamps[others & here])
        chosen = np.nonzero(mine & here)[0]
        if not len(stamps) or not len(chosen):
            continue
        at = np.searchsorted(stamps, frames.stamps[chosen])
        before = np.abs(frames.stamps[chosen] - stamps[np.maximum(at - 1, 0)])
        behind = np.abs(stamps[np.minimum(at, len(stamps) - 1)] - frames.stamps[chosen])
        near[chosen] = np.minimum(before, behind) < guard * NANOSECONDS
    return near


def _near_in_space(
    frames: Placed, mine: NDArray[np.bool_], others: NDArray[np.bool_], guard: float
) -> NDArray[np.bool_]:
    near = np.zeros(len(mine), bool)
    for parent in np.unique(frames.parents):
        here = frames.parents == parent
        chosen = np.nonzero(mine & here)[0]
        if guard and len(chosen) and (others & here).any():
            distances, _ = cKDTree(frames.positions[others & here]).query(frames.positions[chosen])
            near[chosen] = distances < guard
    return near


def parse_shares(text: str) -> tuple[tuple[str, float], ...]:
    """ "train=0.8,val=0.2" as pairs. Raises PerceptionError."""
    found: Mapping[str, Any] = dict(part.split("=", 1) for part in text.split(",") if part.count("=") == 1)
    try:
        shares = tuple((name.strip(), float(share)) for name, share in found.items())
    except ValueError as error:
        raise PerceptionError(f"--parts '{text}' must look like train=0.8,val=0.1,test=0.1") from error
    if len(shares) != text.count(",") + 1:
        raise PerceptionError(f"--parts '{text}' must look like train=0.8,val=0.1,test=0.1")
    return shares
