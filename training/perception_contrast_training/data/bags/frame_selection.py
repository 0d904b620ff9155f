"""Which frames of one topic are kept: by time, exposure, sharpness, motion and novelty, in that order."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast_training.data.bags.image_measures import Measures, change_between
from perception_contrast_training.data.bags.options import NANOSECONDS, ExtractOptions
from perception_contrast_training.data.bags.transforms import Pose

TOO_SOON, CLIPPED, BLURRED, STILL, KNOWN = "too_soon", "badly_exposed", "blurred", "unchanged", "seen_before"
"""Reasons why a good frame is left out, as the counts name them."""

Describe = Callable[[], NDArray[np.float32]]


@dataclass(frozen=True)
class Verdict:
    """reason: "" for a frame to keep. change, similarity: None against nothing."""

    reason: str
    change: float | None = None
    similarity: float | None = None


class Chooser:
    """Remembers the last kept frame and the descriptors of the last ``memory`` ones.

    Asked in the order of the frames; a frame that turns out useless after all is not ``keep``-ed.
    ``state`` and ``restore`` carry it over an interruption without any difference.
    """

    def __init__(self, options: ExtractOptions) -> None:
        self._options = options
        self._stamp: int | None = None
        self._thumbnail: NDArray[np.uint8] | None = None
        self._pose: list[float] | None = None
        self._parent = ""
        self._seen: deque[NDArray[np.float16]] = deque(maxlen=options.memory)

    def in_time(self, stamp: int) -> bool:
        """Whether a frame is far enough from the last kept one; asked before it is decoded."""
        return self._stamp is None or abs(stamp - self._stamp) >= self._options.every * NANOSECONDS

    def judge(
        self, stamp: int, measures: Measures, pose: Pose | None, describe: Describe
    ) -> tuple[Verdict, NDArray[np.float32] | None]:
        """The verdict, and the descriptor if it was needed. describe: called only then."""
        options = self._options
        if measures.clipped > options.max_clipped:
            return Verdict(CLIPPED), None
        if measures.sharpness < options.min_sharpness:
            return Verdict(BLURRED), None
        change = None if self._thumbnail is None else change_between(measures.thumbnail, self._thumbnail)
        overdue = self._is_overdue(stamp)
        still = change is not None and change < options.min_change and not self._moved(pose)
        if still and not overdue:
            return Verdict(STILL, change), None
        if options.novelty == "none":
            return Verdict("", change), None
        vector = describe()
        similarity = None
        if self._seen:
            known = np.stack(list(self._seen)).astype(np.float32)
            similarity = float((known @ vector).max())
            if similarity >= options.max_similarity and not overdue:
                return Verdict(KNOWN, change, similarity), None
        return Verdict("", change, similarity), vector

    def keep(
        self, stamp: int, measures: Measures, pose: Pose | None, vector: NDArray[np.float32] | None
    ) -> None:
        self._stamp, self._thumbnail = stamp, measures.thumbnail
        self._pose = None if pose is None else pose.values()
        self._parent = "" if pose is None else pose.parent
        if vector is not None:
            self._seen.append(vector.astype(np.float16))

    def _is_overdue(self, stamp: int) -> bool:
        longest = self._options.max_gap * NANOSECONDS
        return bool(longest) and self._stamp is not None and abs(stamp - self._stamp) >= longest

    def _moved(self, pose: Pose | None) -> bool:
        if pose is None or self._pose is None or pose.parent != self._parent:
            return False
        last = np.array(self._pose)
        distance = float(np.linalg.norm(pose.position - last[:3]))
        cosine = min(1.0, abs(float(pose.rotation @ last[3:])))
        turn = float(np.degrees(2 * np.arccos(cosine)))
        options = self._options
        return bool(
            (options.min_move and distance >= options.min_move)
            or (options.min_turn and turn >= options.min_turn)
        )

    def state(self) -> dict[str, Any]:
        """As JSON can keep it."""
        return {
            "stamp": self._stamp,
            "thumbnail": None if self._thumbnail is None else _text(self._thumbnail),
            "pose": self._pose,
            "parent": self._parent,
            "seen": [_text(one) for one in self._seen],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._stamp, self._pose, self._parent = state["stamp"], state["pose"], state["parent"]
        kept = state["thumbnail"]
        self._thumbnail = None if kept is None else _array(kept, np.uint8).reshape(16, 16, 3)
        self._seen = deque((_array(one, np.float16) for one in state["seen"]), self._options.memory)


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _array(text: str, dtype: Any) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), dtype)
