"""What a recipe says of pairs of a robot's frames, and the partner that each image gets by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from perception_contrast.core.errors import PerceptionError, RecipeError
from perception_contrast_training.data.datasets.frame_table import Frames, Indices, frames_of
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.pairs.frame_pairs import PairFinder, PairRules
from perception_contrast_training.engine.negative_mask import NegativeMask

USUAL = -1.0
LOOKED_AT = 2000  # frames, for what is said of all


@dataclass(frozen=True)
class PairSettings:
    """kind: what the second view shows. "none": the same image; "time": another frame of the camera, at
    most ``seconds`` away; "camera": another camera of the recording, at most ``camera_seconds`` away;
    "place": a frame whose camera stood within ``metres`` and looked within ``degrees``; "any" of these. A
    image without such a partner shows itself twice.

    apart_seconds, apart_metres: frames of one recording nearer in time, or of cameras nearer in place, are no
    negatives of each other; 0 for no such rule, -1 for 10 s and 2 m, or for none where kind is "none".
    """

    kind: Literal["none", "time", "camera", "place", "any"] = "none"
    seconds: float = 1.0
    camera_seconds: float = 0.05
    metres: float = 0.5
    degrees: float = 30.0
    apart_seconds: float = USUAL
    apart_metres: float = USUAL

    def includes(self, kind: str) -> bool:
        return self.kind in (kind, "any")

    @property
    def pairs(self) -> bool:
        return self.kind != "none"

    def rules(self, *, negatives: bool) -> PairRules:
        """negatives: whether the method has any. Raises RecipeError where values cannot go together."""
        temporal = self.seconds if self.includes("time") else 0.0
        cross_camera = self.camera_seconds if self.includes("camera") else 0.0
        place = self.metres if self.includes("place") else 0.0
        seconds, metres = max(temporal, cross_camera), place
        if negatives:
            usual = PairRules() if self.pairs else PairRules(0, 0, 0, 0, 0, 0)
            seconds = usual.negative_time if self.apart_seconds == USUAL else self.apart_seconds
            metres = usual.negative_distance if self.apart_metres == USUAL else self.apart_metres
            for key, far, near in (
                ("apart_seconds", seconds, max(temporal, cross_camera)),
                ("apart_metres", metres, place),
            ):
                if far < near:
                    raise RecipeError(
                        f"'data.pairs.{key}' {far:g} is less than the {near:g} within which two frames are a "
                        "pair: they would attract and repel each other; raise it"
                    )
        return PairRules(temporal, cross_camera, place, self.degrees, seconds, metres)


def require_sane_pairs(settings: PairSettings, method: str, *, paired: bool, negatives: bool) -> None:
    """paired: whether the method's views take a partner. negatives: whether it has any. Raises RecipeError
    that names the key."""
    for key in ("seconds", "camera_seconds", "metres", "degrees"):
        if getattr(settings, key) <= 0:
            raise RecipeError(f"'data.pairs.{key}' must be above 0")
    for key in ("apart_seconds", "apart_metres"):
        value = getattr(settings, key)
        if value < 0 and value != USUAL:
            raise RecipeError(f"'data.pairs.{key}' must not be negative, but for {USUAL:g}: the usual one")
        if value > 0 and not negatives:
            raise RecipeError(
                f"'data.pairs.{key}' says what is no negative, and {method} has none: leave it out"
            )
    if settings.pairs and not paired:
        raise RecipeError(
            f"'data.pairs.kind' {settings.kind} makes a second view, and {method} takes one of an image; "
            "set it to none"
        )
    settings.rules(negatives=negatives)


class PositivePairs:
    """Of each image to learn from, by number: another one that shows the same, and where it was taken."""

    def __init__(self, frames: Frames, settings: PairSettings, *, negatives: bool) -> None:
        self.finder = PairFinder(frames, settings.rules(negatives=negatives))
        self.settings, rules = settings, self.finder.rules
        self._negatives = negatives and bool(rules.negative_time or rules.negative_distance)

    @property
    def pairs(self) -> bool:
        return self.settings.pairs

    def draw_positive(self, index: int, generator: torch.Generator) -> int:
        """A number drawn from those that show the same; ``index`` itself where there is none."""
        if not self.pairs or not len(near := self.finder.positives(index)):
            return index
        return int(near[int(torch.randint(len(near), (), generator=generator))])

    def where(self, first: int, second: int) -> Tensor | None:
        """(2, 7) of two views, as ``negative_mask.FRAME_POSITIONS``; None where all may be negatives."""
        return self.finder.where[[first, second]] if self._negatives else None

    def share(self) -> float:
        """Of the frames that have a partner."""
        some = _evenly(len(self.finder.frames))
        return float(np.mean([len(self.finder.positives(int(index))) > 0 for index in some]))

    def excluded_share(self) -> float:
        """Of all pairs of frames, the share that are no negatives of each other."""
        if not self._negatives:
            return 0.0
        some = self.finder.where[_evenly(len(self.finder.frames))]
        count = len(some) * (len(some) - 1)
        return 1 - int(NegativeMask(some)(0, len(some)).sum()) / max(1, count)

    def sentences(self) -> list[str]:
        """What the rules make of the data."""
        said = []
        if self.pairs:
            said.append(f"pairs: {self.share():.0%} of the images have a partner ({self.settings.kind})")
        if self._negatives:
            left_out, rules = self.excluded_share(), self.finder.rules
            said.append(
                f"pairs: {left_out:.1%} of all pairs of images are no negatives: nearer than "
                f"{rules.negative_time:g} s or {rules.negative_distance:g} m"
                + ("; lower data.pairs.apart_* to learn from more" if left_out > 0.5 else "")
            )
        return said


def find_positive_pairs(
    images: Images, settings: PairSettings, path: str, *, negatives: bool
) -> PositivePairs | None:
    """For the images to learn from, opened from ``path``; None where the recipe asks for nothing of it.

    Raises PerceptionError for data that lacks the times, cameras or poses that are asked for, in which no
    frame has a partner, or no two are negatives.
    """
    rules = settings.rules(negatives=negatives)
    if not settings.pairs and not (negatives and (rules.negative_time or rules.negative_distance)):
        return None
    frames = frames_of(images)
    if frames is None:
        raise PerceptionError(
            f"data.pairs needs the times of frames, and '{path}' has none; make a dataset of a recording "
            "with `perception-contrast data extract`, or leave data.pairs out"
        )
    posed = bool(frames.known.any())
    if not posed and (settings.kind == "place" or settings.apart_metres > 0):
        key = "kind=place" if settings.kind == "place" else "apart_metres"
        raise PerceptionError(
            f"data.pairs.{key} needs poses, and no frame of '{path}' has one; record /tf or odometry and see "
            "`data extract --pose`, or go by time alone: data.pairs.kind=time, data.pairs.apart_metres=0"
        )
    if settings.kind == "camera" and len(np.unique(frames.cameras)) == len(np.unique(frames.sources)):
        raise PerceptionError(
            f"data.pairs.kind=camera needs two cameras of one recording, and '{path}' has one of each; "
            "extract more topics (`data extract --topic`), or set data.pairs.kind=time"
        )
    found = PositivePairs(frames, settings, negatives=negatives)
    if settings.pairs and not found.share():
        raise PerceptionError(
            f"no frame of '{path}' has a partner by data.pairs.kind={settings.kind}; widen "
            "data.pairs.seconds, camera_seconds, metres or degrees, or extract with a smaller --every"
        )
    if found.excluded_share() == 1:
        raise PerceptionError(
            f"no two frames of '{path}' are negatives: all are nearer than {rules.negative_time:g} s or "
            f"{rules.negative_distance:g} m; lower data.pairs.apart_seconds and apart_metres"
        )
    return found


def _evenly(count: int) -> Indices:
    return np.linspace(0, count - 1, min(count, LOOKED_AT)).round().astype(np.int64)
