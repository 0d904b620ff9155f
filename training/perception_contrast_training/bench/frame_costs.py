"""What one frame costs: processor time of decoding, encoding and writing, and bytes.

`python -m perception_contrast_training.bench.frame_costs DATA --model dinov2-s14` prints a table. Processor
time and not the clock's, so that other work on the machine matters little. docs/fleets.md plans with them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from perception_contrast.cli.argument_types import positive_int
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast_training.embedding.encoders import FrameVectors, frame_encoder
from perception_contrast_training.embedding.find_data import find_data
from perception_contrast_training.embedding.parts import PartFacts, part_table, write_part
from perception_contrast_training.embedding.settings import NO_PATCHES, SPATIAL, THUMBNAIL, EmbedSettings
from perception_contrast_training.storage.place import Folder

_WARM_UP = 2  # batches
_PART_TIMES = 20  # the frames are repeated in the part that is written, which is of a usual size


@dataclass(frozen=True)
class FrameCosts:
    """Milliseconds of one processor, and bytes, a frame.

    Attributes:
        frames: How many were measured.
        decode, encode, write: Milliseconds.
        vector_bytes: In a Parquet file, with the other columns.
        patch_bytes: float16 patch features, before Zarr compresses them.
    """

    frames: int
    decode: float
    encode: float
    write: float
    vector_bytes: float
    patch_bytes: float


def measure(data: str, settings: EmbedSettings, most: int) -> FrameCosts:
    """The costs of at most ``most`` frames of some data. Raises PerceptionError."""
    source = find_data([data])[0]
    began = time.process_time()
    frames = [item.frame for item in source.frames(0, most) if item.frame is not None]
    decode = time.process_time() - began
    if len(frames) <= _WARM_UP * settings.batch:
        raise PerceptionError(
            f"'{data}' has {len(frames)} frames; give more than {_WARM_UP * settings.batch}"
        )
    encoder = frame_encoder(settings)
    _encoded(frames[: _WARM_UP * settings.batch], settings)
    began = time.process_time()
    found = _encoded(frames, settings)
    encode = time.process_time() - began
    rows = [
        {
            "key": f"{n:08d}", "source": source.name, "index": n, "stamp": n, "frame_id": "camera",
            "topic": "", "label": None, "height": frame.size[0], "width": frame.size[1],
            "model": encoder.model, "space": encoder.space, "licence": encoder.licence, "patches": None,
        }
        for n, frame in enumerate(frames)
    ]  # fmt: skip
    vectors, facts = [one.vector for one in found], PartFacts(len(rows))
    with tempfile.TemporaryDirectory() as folder:
        place = Folder(Path(folder))
        write_part(place, "first.parquet", part_table(rows, vectors, len(vectors[0]), settings.dtype), facts)
        began = time.process_time()
        table = part_table(rows * _PART_TIMES, vectors * _PART_TIMES, len(vectors[0]), settings.dtype)
        write_part(place, "part.parquet", table, facts)
        write = (time.process_time() - began) / _PART_TIMES
        size = place.size("part.parquet") / _PART_TIMES
    patches = [2.0 * one.grid.values.size for one in found if one.grid is not None]
    count, milli = len(frames), 1e3 / len(frames)
    return FrameCosts(
        count, decode * milli, encode * milli, write * milli, size / count, float(np.mean(patches or [0.0]))
    )


def _encoded(frames: Sequence[Frame], settings: EmbedSettings) -> list[FrameVectors]:
    encoder, step = frame_encoder(settings), settings.batch
    return [one for start in range(0, len(frames), step) for one in encoder(frames[start : start + step])]


def main() -> int:
    """Prints a table and the same as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", metavar="DATA", help="as of `perception-contrast embed`")
    parser.add_argument("--model", default="dinov2-s14")
    parser.add_argument("--short-side", type=positive_int, default=224)
    parser.add_argument("--frames", type=positive_int, default=100)
    given = parser.parse_args()
    patches = NO_PATCHES if given.model == THUMBNAIL else SPATIAL
    settings = EmbedSettings(given.model, given.short_side, patches=patches, batch=8)
    found = measure(given.data, settings, given.frames)
    print("| model | frames | decode ms | encode ms | write ms | vector bytes | patch bytes |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {given.model} | {found.frames} | {found.decode:.2f} | {found.encode:.2f} | {found.write:.3f} | "
        f"{found.vector_bytes:.0f} | {found.patch_bytes:.0f} |"
    )
    print(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PerceptionError as error:
        sys.exit(f"error: {error}")
