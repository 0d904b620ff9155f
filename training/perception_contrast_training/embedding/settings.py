"""What the user asks of an embedding, and what its files say of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from perception_contrast.core.errors import PerceptionError

THUMBNAIL = "thumbnail"
"""The model that is none: contrast and colour of 16 x 16 parts of an image."""

NO_PATCHES, SPATIAL, LANGUAGE = "", "spatial", "language"
DTYPES = ("float16", "float32")
CHUNK_FRAMES = 16
"""Frames in a chunk of patch features; a part holds a multiple of them."""


@dataclass(frozen=True)
class EmbedSettings:
    """What the vectors depend on.

    Attributes:
        model: Of ``models list``, an exported folder or ONNX file, the output folder of a training run, or
            "thumbnail".
        short_side: Shorter side in pixels that images are resized to; what a model of images and words was
            trained on goes before it for the vectors of whole images.
        dtype: Of the stored vectors, "float16" or "float32".
        patches: "" for none, "spatial" for dense features of the image alone, "language" for those that
            are comparable with words.
        batch: Frames in one pass.
        part_frames: Frames in a part, which is what an interrupted run keeps.
        device, engine, precision, offline: As ``perception_contrast.load`` takes them.
    """

    model: str = "dinov2-s14"
    short_side: int = 224
    dtype: str = "float16"
    patches: str = NO_PATCHES
    batch: int = 8
    part_frames: int = 1024
    device: str = "auto"
    engine: str = "torch"
    precision: str = "auto"
    offline: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise PerceptionError(f"--dtype {self.dtype} is none of {', '.join(DTYPES)}")
        if self.patches not in (NO_PATCHES, SPATIAL, LANGUAGE):
            raise PerceptionError(f"--patch-features {self.patches} is none of {SPATIAL}, {LANGUAGE}")
        if self.part_frames < 1 or self.part_frames % CHUNK_FRAMES:
            raise PerceptionError(f"--part-frames {self.part_frames} must be a multiple of {CHUNK_FRAMES}")
        if self.patches and self.model == THUMBNAIL:
            raise PerceptionError(f"'{THUMBNAIL}' gives no patch features; choose a model, or no --patches")

    def stored(self) -> dict[str, Any]:
        """As JSON keeps it: what changes the numbers. Where they are computed does not count."""
        left_out = ("device", "offline")
        return {key: value for key, value in asdict(self).items() if key not in left_out}
