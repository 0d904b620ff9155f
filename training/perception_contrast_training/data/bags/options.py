"""What the user asks of an extraction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from perception_contrast.core.errors import PerceptionError

AUTO = "auto"
NONE = "none"
THUMBNAIL = "thumbnail"
FORMATS = ("auto", "jpg", "png")
NANOSECONDS = 1_000_000_000

_NOT_NEGATIVE = ("every", "max_gap", "min_change", "min_move", "min_turn", "min_sharpness")
_TIMES = ("slop", "pose_slop", "text_window", "delay")


@dataclass(frozen=True)
class ExtractOptions:
    """Times in seconds.

    topics: images to take, all colour topics if empty. depth: a topic, "auto" or "none". pose: "auto"
    (TF, else Odometry), "none", or an Odometry topic. fixed_frame: where poses are told in, "" for map
    or the root of the tree. text: String and Detection2DArray topics. captions: file of times and texts.

    every: least time between kept frames. max_gap: keep one after this time even if nothing changed, 0
    for never. min_change: mean absolute difference of thumbnails (0 to 1) to the last kept frame;
    min_move, min_turn: metres and degrees, which count as change too. novelty: "thumbnail", "none" or an
    encoder's name; max_similarity: cosine to the last ``memory`` kept frames. min_sharpness: variance of
    the Laplacian at 240 pixels. max_clipped: share of pixels that are black or white.

    anonymise: "none" or package.module:function. format: "auto" keeps the bytes of a JPEG or PNG message
    and makes JPEG of raw images. quality: of JPEGs made here. short_side: pixels, 0 for as recorded.
    slop: most time between an image and its depth or labels; pose_slop: and its pose; text_window: and
    a text. delay: how long an image waits for what belongs to it. shard_frames: most in a shard.
    recover: take what is whole in damaged recordings.
    """

    topics: tuple[str, ...] = ()
    depth: str = AUTO
    pose: str = AUTO
    fixed_frame: str = ""
    text: tuple[str, ...] = ()
    captions: str = ""
    every: float = 0.5
    max_gap: float = 0.0
    min_change: float = 0.01
    min_move: float = 0.1
    min_turn: float = 5.0
    novelty: str = THUMBNAIL
    max_similarity: float = 0.99
    memory: int = 256
    min_sharpness: float = 20.0
    max_clipped: float = 0.6
    anonymise: str = NONE
    format: str = AUTO
    quality: int = 95
    short_side: int = 0
    slop: float = 0.05
    pose_slop: float = 0.2
    text_window: float = 2.0
    delay: float = 0.5
    shard_frames: int = 1000
    recover: bool = True

    def __post_init__(self) -> None:
        for name in (*_NOT_NEGATIVE, *_TIMES):
            if not 0 <= getattr(self, name) < 1e9:
                raise PerceptionError(f"{_flag(name)} {getattr(self, name)} must be 0 or more")
        for name, low, high in (
            ("quality", 1, 100),
            ("memory", 1, 1_000_000),
            ("shard_frames", 1, 1_000_000),
        ):
            if not low <= getattr(self, name) <= high:
                raise PerceptionError(f"{_flag(name)} {getattr(self, name)} must be {low} to {high}")
        for name in ("max_similarity", "max_clipped"):
            if not 0 < getattr(self, name) <= 1:
                raise PerceptionError(f"{_flag(name)} {getattr(self, name)} must be over 0 and at most 1")
        if self.format not in FORMATS:
            raise PerceptionError(f"--format {self.format} is none of {', '.join(FORMATS)}")
        if self.short_side < 0:
            raise PerceptionError(f"--short-side {self.short_side} must be 0 or more pixels")

    def stored(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> ExtractOptions:
        known = {one.name for one in fields(cls)}
        values: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in stored.items() if key in known
        }
        return cls(**values)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
